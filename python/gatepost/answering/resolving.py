"""Finds out who makes a handshake, as ``GATEPOST["USER_RESOLVER"]`` says.

The auth view asks. Only with "request", or with TOUCH_SESSION_ON_CONNECT, may anything be written,
and only then does a Set-Cookie reach the gateway, which puts it on its answer to the browser.
"""

from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest

from gatepost import conf
from gatepost.answering import sessions
from gatepost.answering.logins import (
    Login,
    find_login,
    is_login_of,
    known_users,
    login_in,
)
from gatepost.signing.gateway_view import detach

#: The resolvers that have a name; any other is the dotted path of a function: request -> user.
BY_SESSION = "session"
BY_REQUEST = "request"


def is_by_session() -> bool:
    """Return whether a session key is all that is needed to say who a session is."""
    return bool(conf.value("USER_RESOLVER") == BY_SESSION)


def resolve(request: HttpRequest) -> Login | None:
    """Return who a request is from; None for nobody."""
    resolver = conf.value("USER_RESOLVER")
    if resolver == BY_SESSION:
        return _by_session(request)
    if resolver == BY_REQUEST:
        return _by_request(request)
    function: Any = conf.function("USER_RESOLVER")
    user = function(request)
    detach(request)
    return Login(user) if _is_active_user(user) else None


def who(request: HttpRequest) -> Login | None:
    """Return the user as :func:`resolve` does; leave the request and its session as they are."""
    resolver = conf.value("USER_RESOLVER")
    if resolver != BY_SESSION:
        function: Any = None if resolver == BY_REQUEST else conf.function("USER_RESOLVER")
        user = function(request) if function else getattr(request, "user", None)
        return Login(user, _expiry(request, user)) if _is_active_user(user) else None
    session: Any = getattr(request, "session", None)
    if session is None:
        return find_login(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    known = (user for user in known_users(request) if is_login_of(session, user))
    user = next(known, None)
    return login_in(session) if user is None else Login(user)


def _by_session(request: HttpRequest) -> Login | None:
    login = find_login(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    session: Any = getattr(request, "session", None)
    if login is None or session is None or not conf.value("TOUCH_SESSION_ON_CONNECT"):
        detach(request)
        return login
    try:
        session.save()
    except UpdateError:
        # It ended in this very moment; SessionMiddleware would answer 400.
        detach(request)
        return None
    session.modified = True  # So that SessionMiddleware sets its cookie again.
    return login


def _by_request(request: HttpRequest) -> Login | None:
    """Believe ``request.user``, which a middleware of the project's own may have set."""
    user: Any = getattr(request, "user", None)
    login = Login(user, _expiry(request, user)) if _is_active_user(user) else None
    session: Any = getattr(request, "session", None)
    # With SECRET_KEY_FALLBACKS it was given a new key, of which the browser has to be told.
    kept = session is None or session.session_key == request.COOKIES.get(
        settings.SESSION_COOKIE_NAME
    )
    if kept or login is None:
        detach(request)
    return login


def _expiry(request: HttpRequest, user: Any) -> int | None:
    session: Any = getattr(request, "session", None)
    if session is None or not session.session_key or not is_login_of(session, user):
        return None
    return sessions.expiry(session, session.session_key)


def _is_active_user(user: Any) -> bool:
    return getattr(user, "pk", None) is not None and bool(getattr(user, "is_active", True))
