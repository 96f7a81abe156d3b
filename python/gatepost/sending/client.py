"""Signed HTTP calls to the gateway's internal listener.

The HTTP backend, ``presence`` and the management commands call it. One kept-alive connection a
thread and gateway, dropped after a fork. After a failure calls are not even tried for a while (see
``breaker``), so that a gateway that is away costs requests nothing.
"""

import http.client
import json
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from gatepost import conf
from gatepost.sending import trace
from gatepost.sending.breaker import Breaker
from gatepost.signing import signature

logger = logging.getLogger("gatepost")

#: More than the gateway answers to the largest publication it takes.
LONGEST_ANSWER = 8 * 1024 * 1024


#: What follows where a call is not made.
_CONSEQUENCES = {
    "/v1/publish": ": what was to be sent is lost",
    "/v1/revoke": ": sockets that are open are not closed",
    "/v1/recheck": ": open sockets learn of a change only when the gateway asks by itself",
}


class GatewayError(Exception):
    """A gateway could not be reached, or refused; the text says why and what to do."""

    #: The level at which it is logged where it is not raised.
    level = logging.ERROR


class UnreachableError(GatewayError):
    """There was no answer."""

    level = logging.WARNING


class SkippedError(GatewayError):
    """It was not tried: the gateway could not be reached a moment ago, and that was logged."""

    level = logging.DEBUG


@dataclass(frozen=True)
class Answer:
    """What the gateway said."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object that it said; empty where it is none."""
        return decode(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class _KeptConnection:
    """A thread's connection; closed with the thread, without Python's warning about it."""

    connection: http.client.HTTPConnection

    def __del__(self) -> None:
        self.connection.close()


class _State:
    """What a process shares about the gateway; made again in a forked child."""

    def __init__(self) -> None:
        self.local = threading.local()
        self.breakers: dict[str, Breaker] = {}
        #: Gateways that have answered this process.
        self.reached: set[str] = set()

    def breaker(self, url: str) -> Breaker:
        return self.breakers.setdefault(url, Breaker())


_state = _State()


def reset() -> None:
    """Forget connections and failures, as a forked child must: the sockets are its parent's."""
    global _state
    _state = _State()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset)


def urls() -> list[str]:
    """Return the addresses of the gateways: nearly always one."""
    named = conf.value("URL")
    return [str(url) for url in named] if isinstance(named, list | tuple) else [str(named)]


def get(path: str, *, url: str | None = None) -> Answer:
    """Send one signed GET (to the first gateway) and return what was answered with success.

    Raises :class:`GatewayError` where it was not.
    """
    return _call(url or urls()[0], _Request("GET", path))


def post(  # noqa: PLR0913 - options of a request, all by keyword
    path: str, body: bytes, *, content_type: str, url: str | None = None, wait: bool = True
) -> Answer:
    """Send one signed POST, as :func:`get` does a GET.

    Without ``wait`` the gateway answers before it has done what takes time.
    """
    return _call(url or urls()[0], _Request("POST", path, body, content_type, wait))


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    body: bytes = b""
    content_type: str | None = None
    wait: bool = True


def _call(url: str, request: _Request) -> Answer:
    breaker = _state.breaker(url)
    if not breaker.allows():
        what = _CONSEQUENCES.get(request.path, "")
        raise SkippedError(f"gateway at {url} not called, it could not be reached just now{what}")
    try:
        answer = _exchange(url, request)
    except conf.SecretMissingError as error:
        raise GatewayError(f"nothing sent to the gateway at {url}: {error}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreachableError(_explain(url, error, breaker.failed(), request)) from error
    _state.reached.add(url)
    skipped = breaker.succeeded()
    if skipped is not None:
        logger.warning("gateway at %s reached again; %d calls were not made", url, skipped)
    if not 200 <= answer.status < 300:
        raise GatewayError(_refusal(request, answer))
    return answer


def never_ran(url: str, error: GatewayError) -> bool:
    """Return whether, as far as this process knows, no gateway has run at a URL yet.

    Nothing listens there (or there is no secret yet), and nothing has answered there before.
    """
    nothing_there = (ConnectionRefusedError, FileNotFoundError, conf.SecretMissingError)
    return isinstance(error.__cause__, nothing_there) and url not in _state.reached


def _explain(url: str, error: Exception, pause: float, request: _Request) -> str:
    reason = str(error) or type(error).__name__
    what = _CONSEQUENCES.get(request.path, "")
    start = "`manage.py rungateway` or `gatepost run`" if settings.DEBUG else "`gatepost run`"
    return (
        f"cannot reach the gateway at {url} ({reason}){what}. Start it with {start}, or set"
        " GATEPOST['URL'] to the address of `internal` in its gateway.toml."
        f" Calls are skipped for {pause:g} s."
    )


def _refusal(request: _Request, answer: Answer) -> str:
    hint = ""
    if answer.json().get("code") == "signature_expired":
        hint = " Set the clocks of both machines, for instance with NTP."
    elif answer.status in (401, 403):
        hint = " Gateway and Django must have the same secret (GATEPOST_SECRET on both sides)."
    elif answer.status in (308, 404, 421):
        hint = " GATEPOST['URL'] must be the address of `internal` in gateway.toml, not the site's."
    what = request.path.partition("?")[0].removeprefix("/v1/")
    return f"the gateway refused to {what} ({answer.status}): {problem(answer.json())}.{hint}"


def problem(said: dict[str, Any]) -> str:
    """Return what an RFC 9457 problem says."""
    return str(said.get("detail") or said.get("title") or "no reason given").rstrip(".")


def decode(text: bytes) -> dict[str, Any]:
    """Return the JSON object that a text is; empty where it is none."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _exchange(url: str, request: _Request) -> Answer:
    """Send over the kept connection, or a fresh one where that turns out to be dead.

    Sending again is safe: publications carry ids, which the gateway takes once, and a session
    cannot be revoked twice.
    """
    all_kept: dict[str, _KeptConnection] = _state.local.__dict__
    kept = all_kept.get(url)
    if kept is not None and not _is_stale(kept.connection):
        try:
            return _attempt(kept.connection, request)
        except (ConnectionError, http.client.BadStatusLine):
            pass  # It was closed at this very moment (BadStatusLine: without an answer).
    if kept is not None:
        kept.connection.close()
    fresh = all_kept[url] = _KeptConnection(_open(url))
    return _attempt(fresh.connection, request)


def _attempt(connection: http.client.HTTPConnection, request: _Request) -> Answer:
    host = _host_header(connection)
    parts = signature.Parts(
        request.method, request.path, host, body_hash=signature.hash_body(request.body)
    )
    headers = {
        "Host": host,
        signature.HEADER: _signature(parts),
    }
    if request.content_type:
        headers["Content-Type"] = request.content_type
    if (at := trace.traceparent()) is not None:
        headers["traceparent"] = at
    if not request.wait:
        headers["Prefer"] = "respond-async"  # RFC 7240, 4.1
    try:
        connection.request(request.method, request.path, request.body or None, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(LONGEST_ANSWER))
        if not response.isclosed():
            connection.close()  # There is more, which must not be taken for the next answer.
        return answer
    except BaseException:
        # Whatever it was (a time-out above all), a late answer must not be taken for the next.
        connection.close()
        raise


def _signature(parts: signature.Parts) -> str:
    """Sign one attempt: the gateway believes a signature once, and a call may be made twice."""
    nonce = secrets.token_hex(16)
    return signature.sign(conf.secret(), parts, at=int(time.time()), nonce=nonce)


def _open(url: str) -> http.client.HTTPConnection:
    timeout = float(conf.value("TIMEOUT"))
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:").removeprefix("//"), timeout)
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("GATEPOST['URL'] must be http://host:port or unix:/path/to.sock")
    return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)


def _host_header(connection: http.client.HTTPConnection) -> str:
    if isinstance(connection, _UnixConnection):
        return "localhost"
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return host if connection.port == 80 else f"{host}:{connection.port}"


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Return whether the gateway has closed a kept connection (or sent something unasked)."""
    if connection.sock is None:
        return True
    timeout = connection.sock.gettimeout()
    try:
        connection.sock.setblocking(False)
        connection.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.sock.settimeout(timeout)
    return True
