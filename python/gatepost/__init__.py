"""Django's side of Gatepost.

The layers, top down (an import only points down): ``apps`` wires; ``urls``, ``signals`` and
``checks`` are what Django calls; ``views`` and ``publishing`` do the work; ``sessions``,
``commit``, the ``backends`` and ``client`` are their parts; ``calls``, ``targets``, ``digest``,
``signature``, ``breaker`` and ``conf`` stand on nothing but Django.
"""

from gatepost.client import GatewayError
from gatepost.publishing import notify, recheck, revoke
from gatepost.targets import Connection, Everyone, Group, Session

__all__ = [
    "Connection",
    "Everyone",
    "GatewayError",
    "Group",
    "Session",
    "notify",
    "recheck",
    "revoke",
]
