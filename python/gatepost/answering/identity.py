"""``Gatepost-Identity``: tells the gateway on an ordinary response who the session is.

``middleware`` calls it last. The next handshake of the session then costs Django nothing. The
field is added only where the request already knows its user, and only about the session whose
cookie the browser has *after* this response, which is not always the one that it sent.
"""

import logging
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from gatepost import conf
from gatepost.answering import session_cookie, sessions
from gatepost.answering.answers import answer
from gatepost.answering.logins import Login, is_login_of, known_users
from gatepost.sending import piggyback
from gatepost.sending.calls import encode
from gatepost.signing.digest import session_digest
from gatepost.throttle import Throttle

logger = logging.getLogger("gatepost")

HEADER = "Gatepost-Identity"

#: A page may make a hundred requests after it was opened: the gateway is told once in 5 seconds.
_sent = Throttle(5, most_keys=10_000)


def attach(request: HttpRequest, response: HttpResponseBase) -> None:
    """Tell the gateway who the request's session is, if that is known and of use."""
    try:
        user = _user(request, response)
        if user is None:
            return
        digest = session_digest(conf.secret(), request.session.session_key)
        if _is_due(request, digest):
            _add_header(request, response, user, digest)
    except Exception:
        # It only saves a call, and must never cost a page.
        logger.warning("cannot tell the gateway who a session is", exc_info=True)


def is_wanted(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether :func:`attach` would ask the database, which asynchronous code must not."""
    try:
        return _user(request, response) is not None
    except Exception:
        return True  # It fails there too, and is logged there.


def _add_header(request: HttpRequest, response: HttpResponseBase, user: Any, digest: str) -> None:
    session: Any = request.session
    expires_at = sessions.expiry(session, session.session_key)
    if expires_at is None and sessions.ends_in_database(session):
        return  # Its row is gone: another request ended it just now.
    # Bound to the session, so that a cache within Django cannot give it to another browser.
    said = {**answer(Login(user, expires_at)), "session": digest}
    value = piggyback.encoded(encode(said))
    if len(value) <= piggyback.LARGEST_HEADER:
        response[HEADER] = value


def _user(request: HttpRequest, response: HttpResponseBase) -> Any:
    """Return the user of the request's session where it takes nothing to find out, or None."""
    session: Any = getattr(request, "session", None)
    # Not loaded: the request has not asked who it is.
    if response.status_code >= 500 or not hasattr(session, "_session_cache"):
        return None
    if conf.value("USER_RESOLVER") != "session" or conf.value("INITIAL_FRAMES"):
        return None
    if not session.session_key or session.session_key != cookie_after(request, response):
        return None
    return next((user for user in known_users(request) if is_login_of(session, user)), None)


def cookie_after(request: HttpRequest, response: HttpResponseBase) -> str | None:
    """Return the session cookie that the browser has once it got the response."""
    name = settings.SESSION_COOKIE_NAME
    given = response.cookies.get(name)
    if given is not None and session_cookie.is_it(given):
        return given.value or None
    return request.COOKIES.get(name)


def _is_due(request: HttpRequest, digest: str) -> bool:
    """Return whether it is time: always for a page, for what a page fetches only now and then."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        return _sent.allows(digest)
    _sent.record(digest)
    return True
