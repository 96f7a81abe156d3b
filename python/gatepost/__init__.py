"""Django's side of Gatepost.

The layers, top down (an import only points down): ``apps`` wires; ``urls``, ``middleware``,
``signals``, ``changes`` and ``checks`` are what Django calls; ``asynchronous``, ``publishing``,
``presence``, ``views`` and ``identity`` do the work; ``answers``, ``relevance``, ``resolving``,
``logins``, ``sessions``, ``commit``, ``riding``, the ``backends`` and ``client`` are their parts;
``trust``, ``calls``, ``targets``, ``digest``, ``signature``, ``breaker``, ``conf`` and
``environment`` stand on nothing but Django. ``channels`` and ``testing``, which nothing else
imports, are for projects that come from Channels and for a project's own tests. ``operations`` is
what operators do by the commands of ``management`` and in the ``admin``; ``devserver`` is what
``rungateway`` runs, with ``binary``, ``gateway_toml`` and ``draft``, which know the gateway's
program and its file.
"""

from gatepost.asynchronous import anotify, aonline, arecheck, arevoke
from gatepost.client import GatewayError
from gatepost.presence import online
from gatepost.publishing import notify, recheck, revoke
from gatepost.targets import Connection, Everyone, Group, Session

__all__ = [
    "Connection",
    "Everyone",
    "GatewayError",
    "Group",
    "Session",
    "anotify",
    "aonline",
    "arecheck",
    "arevoke",
    "notify",
    "online",
    "recheck",
    "revoke",
]
