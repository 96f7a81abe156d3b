"""What happens to sockets when a session ends; ``changes`` has what happens to users.

Connected by :func:`connect`, which ``apps`` calls. The surprise: the end of a session does not wait
for the commit. ``user_logged_out`` comes before the session is flushed, which is the last moment
its key is known, and a logout must hold even if the rest of the request fails.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out

from gatepost import conf
from gatepost.sending.calls import COME_BACK
from gatepost.sending.publishing import revoke_now
from gatepost.sending.targets import Session


def connect() -> None:
    """Connect the receivers."""
    user_logged_out.connect(close_sockets, dispatch_uid="gatepost.close_sockets")
    user_logged_in.connect(close_replaced_sockets, dispatch_uid="gatepost.close_replaced_sockets")


def close_sockets(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """Receive ``user_logged_out``."""
    session = getattr(request, "session", None)
    if user is None or session is None or not conf.value("REVOKE_ON_LOGOUT"):
        return
    # With SECRET_KEY_FALLBACKS the key may have been cycled in this very request; the sockets
    # are still bound to the one that the browser sent.
    for key in dict.fromkeys((session.session_key, _sent_key(request))):
        if key:
            revoke_now(Session(key), reason="logged out")


def close_replaced_sockets(
    sender: Any, request: Any = None, user: Any = None, **kwargs: Any
) -> None:
    """Receive ``user_logged_in``.

    ``login()`` flushes the session of another user without a word (Django 4.2 to 6.1), and the
    browser's other tabs would go on hearing what is for that user. They are told to come back, as
    who is logged in now. A login of the same user keeps the key, so nothing is closed.
    """
    session = getattr(request, "session", None)
    if session is None or not conf.value("REVOKE_ON_LOGOUT"):
        return
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.signed_cookies":
        # Its key is another one after every write, so a new key tells nothing.
        return
    sent = _sent_key(request)
    if sent and sent != session.session_key:
        revoke_now(Session(sent), code=COME_BACK, reason="another user logged in")


def _sent_key(request: Any) -> str | None:
    """Give the session key that the browser sent, to which its sockets are bound."""
    cookies: dict[str, str] = getattr(request, "COOKIES", {})
    return cookies.get(settings.SESSION_COOKIE_NAME)
