"""The hosts of ALLOWED_HOSTS, as Django compares them.

The check of ALLOWED_HOSTS and ``draft`` use it.
"""

import ipaddress
import re

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORT = re.compile(r":[0-9*]*$")


def host_alone(entry: str) -> str:
    """Return an entry as Django compares it."""
    host = _SCHEME.sub("", entry).split("/")[0]
    if _is_ipv6(host):
        return f"[{host}]"
    if host.startswith("[") and "]" in host:
        return host[: host.index("]") + 1]
    return _PORT.sub("", host)


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
