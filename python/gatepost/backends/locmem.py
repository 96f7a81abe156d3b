"""Keeps the calls in memory: what tests look at.

``gatepost.testing`` shows it. The surprise: it is one list for all threads of the process, since a
test's live server sends from threads of its own.
"""

import threading
from collections.abc import Sequence

from gatepost.backends import Backend as Base
from gatepost.calls import Call

_lock = threading.Lock()
_calls: list[Call] = []


class Backend(Base):
    """``"BACKEND": "gatepost.backends.locmem.Backend"``."""

    def send(self, calls: Sequence[Call]) -> None:
        """Keep them."""
        with _lock:
            _calls.extend(calls)


def calls() -> list[Call]:
    """Return what was sent since the last :func:`clear`."""
    with _lock:
        return list(_calls)


def clear() -> None:
    """Forget everything."""
    with _lock:
        _calls.clear()
