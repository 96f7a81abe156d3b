"""``GatepostMiddleware``: believes the gateway, and sends along with the response.

First in ``MIDDLEWARE``, so that all others see the true scheme and address, and none replaces the
response once it carries something. The surprise: without a ``Gatepost-Signature`` it does nothing
at all, whatever the headers say; so a request that reached Django past the gateway is what it would
be without this middleware. With one that does not hold, the address of who brought it is taken
away: it may well be the gateway, and no client may pass for the gateway's own machine.
"""

import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from gatepost import conf
from gatepost.answering import identity, session_cookie
from gatepost.sending import riding
from gatepost.sending.calls import Call
from gatepost.sending.commit import at_once, outside
from gatepost.signing import signature, trust

logger = logging.getLogger("gatepost")

#: How often it is logged that signatures do not hold, in seconds.
SAY_EVERY = 60.0

_Sync = Callable[[HttpRequest], HttpResponseBase]
_Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@dataclass(frozen=True)
class Sender:
    """What the gateway says of a request, as ``request.gatepost``."""

    #: Whether the request came through the gateway. Without that, the rest is not known.
    trusted: bool = False
    #: The sender's own connection, where its page said which: for ``notify(…, exclude=request)``.
    connection: str | None = None
    #: How many connections the user has, where the gateway knows the session.
    online: int | None = None


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
        come = _introduce(request)
        if self._is_async:
            return self._respond_async(request, come)
        get_response = cast(_Sync, self.get_response)
        if come is not _Come.PASSED_ON:
            with _told_of(come):
                return _stripped(get_response(request), come)
        with riding.offered() as ride:
            try:
                response = _stripped(get_response(request), come)
            except BaseException:
                _send(ride.cancel())
                raise
            _send(ride.depart(response))
        _send_when_gone(response, ride.for_all())
        identity.attach(request, response)
        return response

    async def _respond_async(self, request: HttpRequest, come: "_Come") -> HttpResponseBase:
        get_response = cast(_Async, self.get_response)
        if come is not _Come.PASSED_ON:
            with _told_of(come):
                return _stripped(await get_response(request), come)
        with riding.offered() as ride:
            try:
                response = _stripped(await get_response(request), come)
            except BaseException:
                await _send_async(ride.cancel())
                raise
            await _send_async(ride.depart(response))
        _send_when_gone(response, ride.for_all())
        if identity.is_wanted(request, response):
            await sync_to_async(identity.attach)(request, response)
        return response


def _told_of(come: "_Come") -> AbstractContextManager[None]:
    return riding.answering() if come is _Come.ASKED else nullcontext()


def _stripped(response: HttpResponseBase, come: "_Come") -> HttpResponseBase:
    """Take off what only this middleware may say, and say what it says to the gateway each time.

    A cache may have kept it with an earlier response, a view may keep one response for all, or
    pass on what another server said.
    """
    for name in (riding.PUBLISH, riding.REVOKE, identity.HEADER, session_cookie.HEADER):
        del response[name]
    if come is not _Come.BY_ITSELF:
        session_cookie.tell(response)
    return response


def _send(calls: list[Call], how: Callable[[list[Call]], None] = at_once) -> None:
    """Send what does not ride; whatever becomes of it, the response stands."""
    try:
        how(calls)
    except Exception:
        logger.exception("what a request published was not sent")


async def _send_async(calls: list[Call]) -> None:
    if calls:
        await sync_to_async(_send, thread_sensitive=False)(calls)


def _send_when_gone(response: HttpResponseBase, calls: list[Call]) -> None:
    """Send when the server is done with the response, and so the gateway has had its head."""
    if not calls:
        return
    close = response.close

    def close_and_send() -> None:
        close()
        _send(calls, outside)

    response.close = close_and_send


class _Come(Enum):
    """How a request came."""

    BY_ITSELF = 0
    PASSED_ON = 1
    #: By the gateway itself, which has a question.
    ASKED = 2
    #: With a signature that does not hold.
    DISBELIEVED = 3


def _introduce(request: HttpRequest) -> _Come:
    """Set ``request.gatepost``, and scheme and address where the gateway vouches for them."""
    meta = request.META
    claims = meta.pop("HTTP_GATEPOST_CONNECTION", None), meta.pop("HTTP_GATEPOST_ONLINE", None)
    come = _come(request)
    if come in (_Come.BY_ITSELF, _Come.DISBELIEVED):
        request.gatepost = Sender()
        if come is _Come.DISBELIEVED:
            # Empty, as it is behind a Unix socket: in no INTERNAL_IPS, in no list of who may come.
            _set_address(request, "")
        return come
    connection, online = claims
    counted = int(online) if online and online.isdecimal() else None
    request.gatepost = Sender(True, connection or None, counted)
    _believe(request)
    return come


def _come(request: HttpRequest) -> _Come:
    if not trust.is_signed(request):
        return _Come.BY_ITSELF
    try:
        return _Come.PASSED_ON if trust.is_passed_on(request) else _Come.ASKED
    except (signature.SignatureError, conf.SecretMissingError) as error:
        _say_seldom(error)
        return _Come.DISBELIEVED


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


_said_at = float("-inf")


def _say_seldom(error: Exception) -> None:
    global _said_at
    now = time.monotonic()
    if now - _said_at >= SAY_EVERY:
        _said_at = now
        logger.warning("a request's Gatepost-Signature is not believed: %s", error)
