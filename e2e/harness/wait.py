"""Waiting for a condition with a deadline: the tests' only way to wait."""

import contextlib
import socket
import time

PATIENCE = 30.0


def wait_until(condition, what, patience=PATIENCE):
    """Returns the first true answer of `condition`; fails, naming `what`, at the deadline."""
    deadline = time.monotonic() + patience
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.02)


def free_port():
    """A port that nothing listens on, for a server that must come back at the same place."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    """Whether something accepts connections at this port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
