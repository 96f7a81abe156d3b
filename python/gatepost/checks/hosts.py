"""ALLOWED_HOSTS as people get it wrong. Django answers 400 to every request then, and says little.

It has a check for CSRF_TRUSTED_ORIGINS without a scheme, but none for hosts *with* one.
"""

import ipaddress
import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORT = re.compile(r":[0-9*]*$")


def check_hosts(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E006: an entry of ALLOWED_HOSTS that no request can match."""
    messages: list[CheckMessage] = []
    for entry in settings.ALLOWED_HOSTS:
        meant = host_alone(str(entry))
        if meant != entry:
            messages.append(
                Error(
                    f"ALLOWED_HOSTS has {entry!r}, which no request can match.",
                    hint=f"Write {meant!r}: a host alone, without scheme, port and path.",
                    id="gatepost.E006",
                )
            )
    return messages


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
