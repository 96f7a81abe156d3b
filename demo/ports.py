"""Ports on loopback: which are free, and who answers there."""

import contextlib
import socket
import urllib.error
import urllib.request


class PortTakenError(Exception):
    """A port that people type is in use; the text says what to do."""


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def require_free(port: int, variable: str) -> None:
    if not can_bind(port):
        raise PortTakenError(
            f"port {port} on 127.0.0.1 is in use or not allowed: stop what listens there "
            f"(`ss -ltnp sport = :{port}` names it), "
            f"or choose another: make demo {variable}={port + 1000}"
        )


def usual_or_free(port: int) -> int:
    """The usual port of an inner server, or any free one: nobody types these."""
    if can_bind(port):
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
