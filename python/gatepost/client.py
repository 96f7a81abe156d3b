"""Signed HTTP calls to the gateway's internal listener.

``publishing`` is the caller. One kept-alive connection a thread, dropped after a fork. The
surprise: nothing here raises. A view must not fail because the gateway is away, so a call that
came to nothing is logged, with what to do, and answered None.
"""

import http.client
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from gatepost import conf, signature
from gatepost.breaker import Breaker

logger = logging.getLogger("gatepost")

#: More than the gateway answers to the largest publication it takes.
LONGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What the gateway said."""

    status: int
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class _Kept:
    """A thread's connection; closed with the thread, without Python's warning about it."""

    url: str
    connection: http.client.HTTPConnection

    def __del__(self) -> None:
        self.connection.close()


class _State:
    """What a process shares about the gateway; made anew in a forked child."""

    def __init__(self) -> None:
        self.local = threading.local()
        self.breakers: dict[str, Breaker] = {}

    def breaker(self, url: str) -> Breaker:
        return self.breakers.setdefault(url, Breaker())


_state = _State()


def reset() -> None:
    """Forget connections and failures, as a forked child must: the sockets are its parent's."""
    global _state
    _state = _State()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset)


def post(path: str, body: bytes, *, content_type: str) -> Answer | None:
    """Send one signed POST; None where there was no answer (it is logged then)."""
    url = str(conf.value("URL"))
    breaker = _state.breaker(url)
    if not breaker.allows():
        logger.debug("gateway at %s not called: it could not be reached just now", url)
        return None
    try:
        answer = _exchange(url, path, (body, content_type))
    except conf.SecretMissingError as error:
        logger.error("nothing sent to the gateway at %s: %s", url, error)
        return None
    except (OSError, http.client.HTTPException, ValueError) as error:
        _log_failure(url, error, breaker.failed())
        return None
    skipped = breaker.succeeded()
    if skipped is not None:
        logger.warning("gateway at %s reached again; %d calls were not made", url, skipped)
    return answer


def _log_failure(url: str, error: Exception, pause: float) -> None:
    logger.warning(
        "cannot reach the gateway at %s (%s): what was to be sent is lost. Start it with `gatepost"
        " run`, or set GATEPOST['URL'] to the address of `internal` in its gateway.toml. Calls"
        " are skipped for %g s.",
        url,
        str(error) or type(error).__name__,
        pause,
    )


def _exchange(url: str, path: str, content: tuple[bytes, str]) -> Answer:
    """Send over the kept connection, or a fresh one where that turns out to be dead.

    Sending again is safe: publications carry ids, which the gateway takes once, and a session
    cannot be revoked twice.
    """
    kept: _Kept | None = getattr(_state.local, "kept", None)
    if kept is not None and kept.url == url and not _is_stale(kept.connection):
        try:
            return _attempt(kept.connection, path, content)
        except (ConnectionError, http.client.BadStatusLine):
            pass  # It was closed at this very moment (BadStatusLine: without an answer).
    if kept is not None:
        kept.connection.close()
    fresh = _state.local.kept = _Kept(url, _open(url))
    return _attempt(fresh.connection, path, content)


def _attempt(
    connection: http.client.HTTPConnection, path: str, content: tuple[bytes, str]
) -> Answer:
    body, content_type = content
    host = _host_header(connection)
    parts = signature.Parts("POST", path, host, body_hash=signature.hash_body(body))
    headers = {
        "Host": host,
        "Content-Type": content_type,
        signature.HEADER: signature.sign(conf.secret(), parts, at=int(time.time())),
    }
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(LONGEST_ANSWER))
        if not response.isclosed():
            connection.close()  # There is more, which must not be taken for the next answer.
        return answer
    except BaseException:
        # Whatever it was (a time-out above all), a late answer must not be taken for the next.
        connection.close()
        raise


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
    """Return whether the gateway has closed a kept connection (or sent what nobody asked for)."""
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
