"""A client with one socket at a gateway, which keeps everything that arrives, in order."""

import json
import threading

from gatepost.testing.blocking import BlockingConnection
from websockets.exceptions import ConnectionClosed

from .wait import PATIENCE, wait_until


class Listener:
    """Open from the moment it is made until it is closed, or the gateway goes."""

    def __init__(self, port, path, tls, session):
        self.frames = []
        self._closed = threading.Event()
        self._socket = BlockingConnection(
            f"wss://localhost:{port}{path}",
            ssl=tls,
            additional_headers={"Cookie": f"sessionid={session}"},
            open_timeout=PATIENCE,
            compression=None,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            while True:
                self.frames.append(json.loads(self._socket.recv()))
        except ConnectionClosed:
            pass
        finally:
            self._closed.set()

    def wait_until_closed(self):
        """Everything that could arrive has arrived."""
        assert self._closed.wait(PATIENCE), "the gateway is gone, but the socket is open"
        return self.frames

    def wait_for(self, number, what):
        """Waits until so many frames have arrived."""

        def arrived():
            assert not self._closed.is_set(), "the gateway closed the socket"
            return len(self.frames) >= number

        wait_until(arrived, f"{what}: {number} frames at a socket", patience=60)

    def entries(self):
        """Writer and number of each entry."""
        return [(frame["writer"], frame["number"]) for frame in self.frames]

    def close(self):
        """Closes it."""
        self._socket.close()
        self._reader.join(timeout=10)
