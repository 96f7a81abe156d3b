"""The gateway's questions to paths of the project: who may listen there.

``middleware`` prepares a request that is one, and settles its answer; ``socket_views`` and
``batches`` use the rest. The surprise: such a question goes through the project's own middlewares
and mixins, which look at ``request.user`` and may write. So the session is read-only from the
moment on in which SessionMiddleware puts it on the request, and no cookie of it leaves.
"""

from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.exception import response_for_exception
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve
from django.utils.cache import add_never_cache_headers

from gatepost import conf
from gatepost.answering import resolving, sessions
from gatepost.answering.logins import Login
from gatepost.marks import SocketOptions, options_in
from gatepost.signing import signature, trust

#: Where a batch says that no frames are wanted. No header can have such a name.
FRAMES = "gatepost.frames"

_LOGIN = "_gatepost_login"


def is_question(request: HttpRequest) -> bool:
    """Return whether the gateway itself asks: what it passes on is signed without its body."""
    if not trust.is_signed(request):
        return False
    try:
        trust.verify(request, signature.hash_body(request.body))
    except (signature.SignatureError, conf.SecretMissingError):
        return False
    return True


def prepare(request: HttpRequest) -> None:
    """Make the session of a question read-only, where it is one to a socket's view.

    A project may have an auth view of its own, which is asked as well, and may write.
    """
    if _is_to_a_socket(request):
        make_read_only(request)


def make_read_only(request: HttpRequest) -> None:
    """Make the session of a request read-only, whether it is there already or yet to come."""
    kind: Any = type(request)
    if issubclass(kind, _WithReadOnlySession):
        return
    request.__class__ = _read_only(kind)
    if "session" in request.__dict__:
        request.session = request.__dict__["session"]


def is_prepared(request: HttpRequest) -> bool:
    """Return whether the session of a request is read-only."""
    return isinstance(request, _WithReadOnlySession)


def login_of(request: HttpRequest) -> Login | None:
    """Return who a question is about, with the end of the session; found out once."""
    if not hasattr(request, _LOGIN):
        login = resolving.who(request)
        session: Any = getattr(request, "session", None)
        if login is not None and login.expires_at is None and resolving.is_by_session() and session:
            login = replace(login, expires_at=sessions.expiry(session, session.session_key))
        setattr(request, _LOGIN, login)
        if login is not None and resolving.is_by_session():
            _spare_a_query(request, login.user)
    found: Login | None = getattr(request, _LOGIN)
    return found


def _spare_a_query(request: HttpRequest, user: Any) -> None:
    """Let ``request.user`` be the user that was just read, unless somebody has asked for it."""
    for name in ("_cached_user", "_acached_user"):
        if not hasattr(request, name):
            setattr(request, name, user)


def options_of(request: HttpRequest) -> SocketOptions | None:
    """Return what the view of a request said of itself by ``@gatepost.socket``."""
    match = getattr(request, "resolver_match", None)
    return options_in(match.func) if match is not None else None


def hide(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return 404 in place of what a socket's view, or its mixins, answered to somebody else."""
    if options_of(request) is None or response.status_code == 404:
        return response
    return response_for_exception(request, Http404("only the gateway may ask here"))


def settle(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return what the gateway understands in place of a redirect to the login, without cookies."""
    if not is_prepared(request):
        return response
    status = _status(request, response)
    if status != response.status_code:
        response = HttpResponse(status=status)
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        response.cookies.pop(name, None)
    add_never_cache_headers(response)
    return response


def _status(request: HttpRequest, response: HttpResponseBase) -> int:
    if leads_to_login(request, response):
        return 401 if login_of(request) is None else 403
    options = options_of(request)
    if response.status_code != 403 or (options is not None and options.anonymous):
        return response.status_code
    return 401 if login_of(request) is None else 403


def leads_to_login(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether a response is a redirect to the login, which has it come back here."""
    if response.status_code not in (301, 302, 303, 307, 308):
        return False
    target = urlsplit(str(response.headers.get("Location", "")))
    here = (request.get_full_path(), request.build_absolute_uri(), request.path)
    if any(value in here for _, value in parse_qsl(target.query)):
        return True
    return target.path == _login_path() or "login" in target.path


def _login_path() -> str:
    try:
        return urlsplit(resolve_url(settings.LOGIN_URL)).path
    except NoReverseMatch:
        return ""


def _is_to_a_socket(request: HttpRequest) -> bool:
    try:
        if options_in(resolve(request.path_info).func) is not None:
            return True
    except Resolver404:
        pass  # A middleware may choose other URLs.
    # A decorator may hide what is marked; but only such a question is about its own path.
    about = urlsplit(request.headers.get("X-Original-URI", "")).path
    return bool(about) and about == urlsplit(trust.target(request)).path


class _WithReadOnlySession:
    """Mixed in before a request's class: what is set as its session cannot be written."""

    @property
    def session(self) -> Any:
        try:
            return self.__dict__["session"]
        except KeyError:
            raise AttributeError("session") from None

    @session.setter
    def session(self, store: Any) -> None:
        read_only = isinstance(store, SessionBase)
        self.__dict__["session"] = sessions.read_only(store) if read_only else store

    @session.deleter
    def session(self) -> None:
        if self.__dict__.pop("session", None) is None:
            raise AttributeError("session")


@cache
def _read_only(kind: type) -> type:
    return type(kind.__name__, (_WithReadOnlySession, kind), {"__module__": kind.__module__})
