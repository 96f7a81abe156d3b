"""A WebSocket connection for tests without an event loop.

``sockets`` makes it, and so do Gatepost's own end-to-end tests. The surprise: websockets' blocking
client reads in one thread and writes in another, and that breaks a TLS connection once in some
thousand before Python 3.13.1 (cpython issue 124984: the handshake gets no answer, or "SSL internal
error"). So here one thread with an event loop does both.
"""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any


class BlockingConnection:
    """One connection, open from the moment it is made; closed at the end of a ``with``."""

    def __init__(self, url: str, **options: Any) -> None:
        """Connect; ``options`` are those of ``websockets.asyncio.client.connect``."""
        from websockets.asyncio import client

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def connect() -> Any:
            return await client.connect(url, **options)

        try:
            self._connection = self._wait(connect())
        except BaseException:
            self._end()
            raise

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Wait for the next message; raise TimeoutError, or websockets' ConnectionClosed."""
        try:
            message: str | bytes = self._wait(asyncio.wait_for(self._connection.recv(), timeout))
        except asyncio.TimeoutError as error:
            # Another one than TimeoutError before Python 3.11.
            raise TimeoutError(f"no message within {timeout} s") from error
        return message

    def send(self, message: str | bytes) -> None:
        """Send a message."""
        self._wait(self._connection.send(message))

    @property
    def close_code(self) -> int | None:
        """What it was closed with; None while it is open."""
        code: int | None = self._connection.close_code
        return code

    def close(self) -> None:
        """Close it, as a browser that leaves."""
        if self._loop.is_closed():
            return
        try:
            self._wait(self._connection.close())
        finally:
            self._end()

    def __enter__(self) -> "BlockingConnection":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
