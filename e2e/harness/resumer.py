"""A client that always comes back, with the last position that it was told."""

import contextlib
import json
import threading

from gatepost.testing.blocking import BlockingConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from .wait import PATIENCE, wait_until

#: What it hears where something may be missing.
RESYNC = "resync"


class Resumer:
    """Speaks gatepost.v1 until it is closed, and keeps what it hears.

    `url` gives where the gateway is now.
    """

    def __init__(self, url, tls, session):
        self.heard = []
        self.returns = 0
        self._url, self._tls, self._session = url, tls, session
        self._position = self._ended = None
        self._cut, self._over = threading.Event(), threading.Event()
        self._runs = threading.Thread(target=self._run, daemon=True)
        self._runs.start()
        wait_until(lambda: self._position, "the client has a position")

    def wait_for(self, condition, what):
        """Waits for what it is to have heard or done."""
        try:
            wait_until(condition, what, patience=2 * PATIENCE)
        except AssertionError as error:
            error.add_note(f"{len(self.heard)} heard, at last {self.heard[-3:]}; {self._ended!r}")
            raise

    def drop(self):
        """Loses its connection, after whatever comes next."""
        self._cut.set()

    def close(self):
        """Leaves for good."""
        self._over.set()
        self._runs.join(timeout=PATIENCE)

    def _run(self):
        while not self._over.wait(0.05):
            # The gateway may be down, and go at any time.
            try:
                self._listen()
            except (OSError, InvalidHandshake, EOFError, ConnectionClosed) as error:
                self._ended = error

    def _listen(self):
        since = f"?position={self._position}" if self._position else ""
        connection = BlockingConnection(
            self._url() + since,
            ssl=self._tls,
            subprotocols=["gatepost.v1"],
            additional_headers={"Cookie": f"sessionid={self._session}"},
            open_timeout=PATIENCE,
            compression=None,
        )
        self._cut.clear()
        with connection as socket:
            while not self._over.is_set() and not self._cut.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(json.loads(socket.recv(timeout=0.2)))

    def _take(self, said):
        if said.get("control") == "welcome":
            self.returns += self._position is not None
        if said.get("recovered") is False or said.get("control") == RESYNC:
            self.heard.append(RESYNC)
        if "data" in said:
            self.heard.append(said["data"])
        self._position = said.get("id") or said.get("position") or self._position
