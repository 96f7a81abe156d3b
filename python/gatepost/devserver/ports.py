"""Ports of this machine: which are free, and who listens.

Between finding a port free and using it another process may take it. Then the server that wanted it
says so and ends, and ``rungateway`` with it.
"""

import contextlib
import errno
import socket
from collections.abc import Collection, Sequence
from ipaddress import ip_address

#: How many ports above a taken one are tried before any free one is good enough: people can guess
#: and remember 8444, and browsers keep what they know of it.
_NEIGHBOURS = 20


#: What a machine without IPv6 says of an address it does not have.
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there; one at both loopbacks goes without IPv6's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As servers do: a port whose last connections are only fading away is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        return family == socket.AF_INET6 and error.errno in _ABSENT
    return True


def this_or_near(host: str | Sequence[str], port: int, *, promised: Collection[int] = ()) -> int:
    """Return the port if it is free at a host, or at all of several, or the next one that is.

    Those that are ``promised`` to a server that is only about to start are not.
    """
    hosts = [host] if isinstance(host, str) else host
    for candidate in range(port, min(port + _NEIGHBOURS, 65536)):
        if candidate not in promised and all(is_free(each, candidate) for each in hosts):
            return candidate
    return any_free(hosts[0])


def any_free(host: str) -> int:
    """Return some free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listens(host: str, port: int) -> bool:
    """Return whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def split(address: str) -> tuple[str, int]:
    """Split ``127.0.0.1:8000`` or ``[::1]:8000``; the host comes without brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join(host: str, port: int) -> str:
    """Put a host and a port together as an address is written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether an address is one that only this machine reaches."""
    return ip_address(host).is_loopback


def reachable(address: str) -> str:
    """Return an address as it can be called: every address of a machine is none."""
    host, port = split(address)
    loopback = {"0": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound
    return join(loopback.get(host, host), port)
