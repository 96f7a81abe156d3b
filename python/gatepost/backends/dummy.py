"""Sends nothing to anybody; for projects that switch Gatepost off."""

from collections.abc import Sequence

from gatepost.backends import Backend as Base
from gatepost.sending.calls import Call


class Backend(Base):
    """``"BACKEND": "gatepost.backends.dummy.Backend"``."""

    reaches_gateway = False

    def send(self, calls: Sequence[Call]) -> None:
        """Do nothing."""
