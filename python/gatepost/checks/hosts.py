"""ALLOWED_HOSTS as people get it wrong. Django answers 400 to every request then, and says little.

It has a check for CSRF_TRUSTED_ORIGINS without a scheme, but none for hosts *with* one.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from gatepost.program.hosts import host_alone


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
