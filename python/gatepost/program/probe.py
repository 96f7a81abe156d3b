"""One WebSocket handshake at the gateway, as a browser would make it, to see how it is closed.

``gateway_check`` uses it: with a session that does not exist a sound gateway has to ask Django and
then to close with 4001; everything else is a diagnosis, in the gateway's own words.
"""

import base64
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: More than an answer to a handshake and a close frame have.
_LONGEST = 64 * 1024

_CLOSE = 0x8


class ProbeError(Exception):
    """There was no WebSocket to be closed; the text says what there was instead."""


@dataclass(frozen=True)
class Close:
    """How the gateway closed the socket."""

    code: int
    reason: str


def handshake(url: str, cookie: str, *, ca: Path | None, timeout: float) -> Close:
    """Open a WebSocket at a https:// URL and wait until it is closed.

    Raises :class:`ProbeError` where the gateway refuses it, and OSError where none is there.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {parts.path or '/'} HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\n"
        f"Origin: https://{parts.netloc}\r\n"
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nCookie: {cookie}\r\n\r\n"
    )
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    with (
        socket.create_connection((host, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        secured.sendall(request.encode("latin-1"))
        return _read(_Reader(secured))


class _Reader:
    """Bytes of a socket, as many as are wanted."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._come = b""

    def until(self, end: bytes) -> bytes:
        while end not in self._come:
            self._more()
        found, _, self._come = self._come.partition(end)
        return found

    def take(self, number: int) -> bytes:
        while len(self._come) < number:
            self._more()
        taken, self._come = self._come[:number], self._come[number:]
        return taken

    def _more(self) -> None:
        chunk = self._connection.recv(4096)
        if not chunk or len(self._come) > _LONGEST:
            raise ProbeError("the connection was ended without an answer")
        self._come += chunk


def _read(reader: _Reader) -> Close:
    status = reader.until(b"\r\n\r\n").split(b"\r\n")[0].decode("latin-1")
    if " 101" not in status:
        raise ProbeError(f"the handshake was answered {status.partition(' ')[2]}")
    while True:
        first, second = reader.take(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(reader.take(2 if length == 126 else 8), "big")
        payload = reader.take(min(length, _LONGEST))
        if first & 0xF == _CLOSE:
            return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace"))
