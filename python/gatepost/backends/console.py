"""Prints the calls instead of making them; for work on a project without a gateway.

A revocation is printed with its session's digest, never with a session key.
"""

import sys
from collections.abc import Sequence

from gatepost.backends import Backend as Base
from gatepost.sending.calls import Call, Publication, Revocation


class Backend(Base):
    """``"BACKEND": "gatepost.backends.console.Backend"``."""

    reaches_gateway = False

    def send(self, calls: Sequence[Call]) -> None:
        """Print a line for each."""
        for call in calls:
            sys.stdout.write(f"gatepost {_verb(call)} {call.json()}\n")
        sys.stdout.flush()


def _verb(call: Call) -> str:
    if isinstance(call, Publication):
        return "publish"
    return "revoke" if isinstance(call, Revocation) else "recheck"
