"""Waiting for a condition with a deadline: the tests' only way to wait."""

import contextlib
import itertools
import os
import socket
import time

PATIENCE = 30.0

# Below the ports that the kernel hands out by itself, and others for each of the processes that run
# tests side by side.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST = 20_000 + 1_000 * _WORKER
_PORTS = itertools.count(os.getpid())


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
    ports = (_FIRST + number % 1_000 for number in _PORTS)
    return next(port for port in ports if _is_free(port))


def _is_free(port):
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        return True
    return False


def listens(port):
    """Whether something accepts connections at this port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
