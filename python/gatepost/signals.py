"""Closes a session's sockets when the session ends: at a logout, or when another user logs in.

Connected by ``apps``. The surprise: it does not wait for the commit. ``user_logged_out`` comes
before the session is flushed, which is the last moment its key is known, and a logout must hold
even if the rest of the request fails.
"""

from typing import Any

from django.conf import settings

from gatepost import conf
from gatepost.publishing import revoke_now
from gatepost.targets import Session


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
    browser's other tabs would go on hearing what is for that user. A login of the same user keeps
    the key, so nothing is closed.
    """
    session = getattr(request, "session", None)
    if session is None or not conf.value("REVOKE_ON_LOGOUT"):
        return
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.signed_cookies":
        # Its key is another one after every write, so a new key tells nothing.
        return
    sent = _sent_key(request)
    if sent and sent != session.session_key:
        revoke_now(Session(sent), reason="logged in anew")


def _sent_key(request: Any) -> str | None:
    """Give the session key that the browser sent, to which its sockets are bound."""
    cookies: dict[str, str] = getattr(request, "COOKIES", {})
    return cookies.get(settings.SESSION_COOKIE_NAME)
