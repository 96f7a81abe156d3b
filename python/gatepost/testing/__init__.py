"""What a project's own tests use.

``outbox`` holds what was notified, as ``mail.outbox`` holds mails, in every test that Django's test
runner or pytest-django runs; ``assertNotified`` reads it. ``GatepostTestMixin`` and the pytest
fixture ``gatepost_outbox`` have it at hand. ``LiveGateway``, the fixture ``live_gateway`` and
``LiveGatewayTestCase`` run the real gateway in front of Django's live server.

From the outside in: ``cases``, ``live`` and ``gatepost.pytest_plugin``; ``assertions``,
``sockets``; ``outbox``. Importing this needs Django's settings no more than ``django.test`` does.
"""

from gatepost.testing.assertions import assertNotified, assertNotNotified, assertRevoked
from gatepost.testing.cases import GatepostTestMixin, LiveGatewayMixin, LiveGatewayTestCase
from gatepost.testing.live import LiveGateway, LiveGatewayError
from gatepost.testing.outbox import Outbox, Sent, outbox, recorded
from gatepost.testing.sockets import LiveSocket, SocketClosedError

__all__ = [
    "GatepostTestMixin",
    "LiveGateway",
    "LiveGatewayError",
    "LiveGatewayMixin",
    "LiveGatewayTestCase",
    "LiveSocket",
    "Outbox",
    "Sent",
    "SocketClosedError",
    "assertNotNotified",
    "assertNotified",
    "assertRevoked",
    "outbox",
    "recorded",
]
