"""Django's side of Gatepost.

Four wings, top down (an import only points down): ``program`` knows the gateway's binary and its
gateway.toml, ``answering`` says who a session is, ``sending`` (with ``backends`` and ``outbox``,
whose paths are public) tells the gateway what happens, ``signing`` is what both trust in. Around
them: what Django and projects name by its path (``apps``, ``urls``, ``middleware``, ``checks``,
``management``, ``admin``, ``channels``, ``testing`` and others), above; ``conf``, ``running``,
``state``, ``environment`` and ``throttle``, which stand on nothing but Django, below.
``devserver`` is what ``rungateway`` runs. The whole order is a table in
tests/test_architecture.py, which holds it.
"""

from gatepost.answering.listening import listen
from gatepost.answering.socket_views import socket
from gatepost.answering.streams import stream
from gatepost.answering.topic_tokens import atopic_token, topic_token
from gatepost.sending.asynchronous import anotify, aonline, arecheck, arevoke
from gatepost.sending.client import GatewayError
from gatepost.sending.frames import Text
from gatepost.sending.presence import online
from gatepost.sending.publishing import notify, recheck, revoke
from gatepost.sending.targets import Connection, Everyone, Group, Session
from gatepost.sending.topics import Topic

__all__ = [
    "Connection",
    "Everyone",
    "GatewayError",
    "Group",
    "Session",
    "Text",
    "Topic",
    "anotify",
    "aonline",
    "arecheck",
    "arevoke",
    "atopic_token",
    "listen",
    "notify",
    "online",
    "recheck",
    "revoke",
    "socket",
    "stream",
    "topic_token",
]
