"""Closes a session's sockets when its user logs out.

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
    sent = getattr(request, "COOKIES", {}).get(settings.SESSION_COOKIE_NAME)
    for key in dict.fromkeys((session.session_key, sent)):
        if key:
            revoke_now(Session(key), reason="logged out")
