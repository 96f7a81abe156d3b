"""Keeps the calls in memory: what tests look at.

``gatepost.testing`` shows it. There is one list for all threads of the process, since a test's live
server sends from threads of its own; and what an earlier test sent is gone by itself.
"""

import threading
from collections.abc import Sequence

from gatepost import environment
from gatepost.backends import Backend as Base
from gatepost.sending.calls import Call

_lock = threading.Lock()
_calls: list[Call] = []

#: The test in which they were sent.
_of_test = 0


class Backend(Base):
    """``"BACKEND": "gatepost.backends.locmem.Backend"``."""

    reaches_gateway = False

    def send(self, calls: Sequence[Call]) -> None:
        """Keep them."""
        with _lock:
            _forget_earlier_tests()
            _calls.extend(calls)


def calls() -> list[Call]:
    """Return what was sent since the last :func:`clear`."""
    with _lock:
        _forget_earlier_tests()
        return list(_calls)


def clear() -> None:
    """Forget everything."""
    with _lock:
        _calls.clear()


def _forget_earlier_tests() -> None:
    global _of_test
    if _of_test != environment.current_test():
        _of_test = environment.current_test()
        _calls.clear()
