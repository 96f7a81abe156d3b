"""``GatepostMiddleware``: takes over what the gateway says of a request, and answers it in headers.

First in ``MIDDLEWARE``, so that all others see the true scheme and address, and none replaces the
response once it carries something. Without a ``Gatepost-Signature`` it does nothing at all,
whatever the headers say, so that a request that came past the gateway is treated as if this
middleware were not there. Where a signature does not hold, the request loses its address: it may be
that of the gateway, and no client may pass for the gateway's own machine.
"""

import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from gatepost import conf
from gatepost.answering import caching, identity, questions, session_cookie, streams
from gatepost.sending import piggyback
from gatepost.sending.calls import Call
from gatepost.sending.commit import send_now, send_outside_transaction
from gatepost.signing import signature, trust
from gatepost.throttle import Throttle

logger = logging.getLogger("gatepost")

#: That signatures do not hold is logged once a minute.
_log_throttle = Throttle(60)

#: What the gateway says about a request, besides its address and scheme.
_CLAIMS = ("CONNECTION", "ONLINE", "POSITION")

#: What only this middleware may put on a response.
_OWN_HEADERS = (
    piggyback.PUBLISH,
    piggyback.REVOKE,
    identity.HEADER,
    session_cookie.HEADER,
    streams.HEADER,
)

_POSITION = re.compile(r"(?=.{3,64}\Z)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

_Sync = Callable[[HttpRequest], HttpResponseBase]
_Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@dataclass(frozen=True)
class Sender:
    """What the gateway says about a request, as ``request.gatepost``."""

    #: Whether the request came through the gateway. Without that, the rest is not known.
    trusted: bool = False
    #: The sender's own connection, where its page said which: for ``notify(…, exclude=request)``.
    connection: str | None = None
    #: How many connections the user has, where the gateway knows the session.
    online: int | None = None
    #: Where the gateway's history was before Django was asked: for the page that is rendered.
    position: str | None = None


class GatepostMiddleware:
    """``MIDDLEWARE = ["gatepost.middleware.GatepostMiddleware", …]``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _Sync | _Async) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Handle a request; a coroutine where Django runs asynchronously."""
        origin = _introduce(request)
        if self._is_async:
            return self._respond_async(request, origin)
        get_response = cast(_Sync, self.get_response)
        if origin is not _Origin.PROXIED:
            with _context_of(origin):
                return _settled(request, get_response(request), origin)
        with piggyback.collecting() as collected:
            try:
                response = _settled(request, get_response(request), origin)
            except BaseException:
                _send(collected.discard())
                raise
            _send(collected.attach(response))
        _send_when_gone(response, collected.for_every_gateway())
        identity.attach(request, response)
        return response

    async def _respond_async(self, request: HttpRequest, origin: "_Origin") -> HttpResponseBase:
        get_response = cast(_Async, self.get_response)
        if origin is not _Origin.PROXIED:
            with _context_of(origin):
                return await _settled_async(request, await get_response(request), origin)
        with piggyback.collecting() as collected:
            try:
                response = await _settled_async(request, await get_response(request), origin)
            except BaseException:
                await _send_async(collected.discard())
                raise
            await _send_async(collected.attach(response))
        _send_when_gone(response, collected.for_every_gateway())
        if identity.is_wanted(request, response):
            await sync_to_async(identity.attach)(request, response)
        return response


def _context_of(origin: "_Origin") -> AbstractContextManager[None]:
    return piggyback.answering() if origin is _Origin.FROM_GATEWAY else nullcontext()


def _settled(
    request: HttpRequest, response: HttpResponseBase, origin: "_Origin"
) -> HttpResponseBase:
    """Return what leaves: without headers that only this middleware may set, and with its own.

    A cache may have kept them with an earlier response, a view may reuse one response, or pass on
    what another server said.
    """
    asked = origin is _Origin.FROM_GATEWAY
    response = (questions.settle if asked else questions.hide)(request, response)
    for name in _OWN_HEADERS:
        del response[name]
    if origin is _Origin.PROXIED:
        response = streams.finish(request, response)
    if origin is not _Origin.DIRECT:
        session_cookie.add_to(response)
    caching.settle(request, response)
    return response


async def _settled_async(
    request: HttpRequest, response: HttpResponseBase, origin: "_Origin"
) -> HttpResponseBase:
    asks_no_database = not isinstance(response, streams.Stream)
    asks_no_database = asks_no_database and questions.options_of(request) is None
    if asks_no_database and origin is not _Origin.FROM_GATEWAY:
        return _settled(request, response, origin)
    # It may have to ask the database who is logged in, or render a page.
    settled: HttpResponseBase = await sync_to_async(_settled)(request, response, origin)
    return settled


def _send(calls: list[Call], how: Callable[[list[Call]], None] = send_now) -> None:
    """Send what does not leave on the response, which stands even if that fails."""
    try:
        how(calls)
    except Exception:
        logger.exception("what a request published was not sent")


async def _send_async(calls: list[Call]) -> None:
    if calls:
        await sync_to_async(_send, thread_sensitive=False)(calls)


def _send_when_gone(response: HttpResponseBase, calls: list[Call]) -> None:
    """Send once the server is done with the response, so that the gateway has its head by then."""
    if not calls:
        return
    close = response.close

    def close_and_send() -> None:
        close()
        _send(calls, send_outside_transaction)

    response.close = close_and_send


class _Origin(Enum):
    """Where a request comes from."""

    #: It did not come through the gateway.
    DIRECT = 0
    #: A client's, passed on by the gateway.
    PROXIED = 1
    #: The gateway's own question.
    FROM_GATEWAY = 2
    #: With a signature that does not hold.
    UNTRUSTED = 3


def _introduce(request: HttpRequest) -> _Origin:
    """Set ``request.gatepost``, and scheme and address where the gateway vouches for them."""
    meta = request.META
    claims = [meta.pop(f"HTTP_GATEPOST_{name}", None) for name in _CLAIMS]
    origin = _origin(request)
    if origin in (_Origin.DIRECT, _Origin.UNTRUSTED):
        request.gatepost = Sender()
        if origin is _Origin.UNTRUSTED:
            # Empty, as it is behind a Unix socket: in no INTERNAL_IPS, in no list of who may come.
            _set_address(request, "")
        return origin
    connection, online, position = claims
    counted = int(online) if online and online.isdecimal() else None
    known = position if position and _POSITION.fullmatch(position) else None
    request.gatepost = Sender(True, connection or None, counted, known)
    _believe(request)
    if origin is _Origin.FROM_GATEWAY:
        questions.prepare(request)
    return origin


def _origin(request: HttpRequest) -> _Origin:
    if not trust.is_signed(request):
        return _Origin.DIRECT
    try:
        return _Origin.PROXIED if trust.is_proxied(request) else _Origin.FROM_GATEWAY
    except (signature.SignatureError, conf.SecretMissingError) as error:
        _log_rarely(error)
        return _Origin.UNTRUSTED


def _believe(request: HttpRequest) -> None:
    address, scheme = trust.client(request)
    if scheme in ("http", "https"):
        request.META["wsgi.url_scheme"] = scheme
        if hasattr(request, "scope"):
            request.scope = {**request.scope, "scheme": scheme}
    _set_address(request, address if _is_address(address) else "")


def _set_address(request: HttpRequest, address: str) -> None:
    request.META["REMOTE_ADDR"] = address
    if "REMOTE_HOST" in request.META:
        request.META["REMOTE_HOST"] = address
    if hasattr(request, "scope"):
        client = (address, 0) if address else None
        request.scope = {**request.scope, "client": client}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _log_rarely(error: Exception) -> None:
    if _log_throttle.allows():
        logger.warning("a request's Gatepost-Signature is not believed: %s", error)
