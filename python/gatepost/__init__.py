"""Django's side of Gatepost.

The layers, top down (an import only points down): ``apps`` wires; ``urls``, ``signals`` and
``checks`` are what Django calls; ``views`` and ``publishing`` do the work; ``sessions``,
``commit`` and ``client`` are their parts; ``targets``, ``digest``, ``signature``, ``breaker``
and ``conf`` stand on nothing but Django.
"""

from gatepost.publishing import notify, revoke
from gatepost.targets import Connection, Everyone, Group, Session

__all__ = ["Connection", "Everyone", "Group", "Session", "notify", "revoke"]
