"""A WebSocket client for tests: the browser's side of the gateway.

``LiveGateway.connect`` makes it. The library ``websockets`` speaks the protocol
(``pip install "gatepost[testing]"``). Nothing here waits for time to pass. What has been sent
before a ping comes before its pong, so with the pong ``frames()`` is complete.
"""

import itertools
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from gatepost.testing.blocking import BlockingConnection

#: How long, in seconds, a test waits for what should come.
PATIENCE = 5.0

_numbers = itertools.count(1)


class SocketClosedError(AssertionError):
    """The gateway closed the socket while the test waited for a frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the gateway closed the socket: {code} {reason!r}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Place:
    """Where a socket is opened, and with which cookies."""

    url: str
    origin: str
    tls: ssl.SSLContext
    cookies: Mapping[str, str]


class LiveSocket:
    """One WebSocket to the gateway; closed at the end of a ``with``."""

    def __init__(self, place: Place) -> None:
        try:
            from websockets import exceptions
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "connecting to the live gateway needs a WebSocket client:"
                ' pip install "gatepost[testing]"',
                name=error.name,
            ) from error
        self._closed_error = exceptions.ConnectionClosed
        self._come: deque[str] = deque()
        self._connection = BlockingConnection(
            place.url,
            ssl=place.tls,
            origin=place.origin,
            additional_headers={"Cookie": _cookie_header(place.cookies)} if place.cookies else {},
            proxy=None,  # Or HTTPS_PROXY of the environment would be asked for localhost.
            compression=None,
            open_timeout=PATIENCE,
            close_timeout=PATIENCE,
        )
        # The 101 comes before the gateway counts the connection: what is sent now must not miss it.
        self._until_pong()

    def receive(self, timeout: float = PATIENCE) -> Any:
        """Wait for the next frame and return it as JSON.parse() would."""
        return json.loads(self.receive_text(timeout))

    def receive_text(self, timeout: float = PATIENCE) -> str:
        """Wait for the next frame and return its very text."""
        return self._come.popleft() if self._come else self._read(timeout)

    def frames(self) -> list[Any]:
        """Return all frames that have been sent to it until now and were not received yet."""
        self._until_pong()
        come = [json.loads(text) for text in self._come]
        self._come.clear()
        return come

    def closed(self, timeout: float = PATIENCE) -> tuple[int, str]:
        """Wait until the gateway closes it; return the code and the reason."""
        try:
            while True:
                self._come.append(self._read(timeout))
        except SocketClosedError as closed:
            return closed.code, closed.reason

    def send(self, message: Any) -> None:
        """Send a message, as JSON, like a browser that calls ``socket.send(JSON.stringify(…))``."""
        self._connection.send(json.dumps(message))

    def close(self) -> None:
        """Close it, as a browser that leaves."""
        self._connection.close()

    def __enter__(self) -> "LiveSocket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _until_pong(self) -> None:
        """Wait for the answer to a ping; keep what comes before it. A close is no error here."""
        pong = {"type": "pong", "gatepost": next(_numbers)}
        try:
            self.send({**pong, "type": "ping"})
            while (text := self._read(PATIENCE)) is not None:
                if json.loads(text) == pong:
                    return
                self._come.append(text)
        except (SocketClosedError, self._closed_error):
            return  # closed() says why, receive() raises.

    def _read(self, timeout: float) -> str:
        try:
            return str(self._connection.recv(timeout))
        except TimeoutError:
            raise AssertionError(f"no frame came within {timeout:g} s") from None
        except self._closed_error as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            raise SocketClosedError(code, reason) from None


def _cookie_header(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
