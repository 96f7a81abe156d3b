"""Whether this process serves requests, or is a command, a script, a migration.

``backends.http`` asks it when no gateway is there: to a command that changes a user that is nothing
unusual, to a server it is an outage.
"""

from typing import Any

_serves = False


def record_request(**kwargs: Any) -> None:
    """Receive ``request_started``."""
    global _serves
    _serves = True


def serves_requests() -> bool:
    """Return whether a request has come to this process."""
    return _serves
