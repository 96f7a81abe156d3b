"""What a project's test classes inherit from.

These classes wrap ``run()`` and not ``setUp()``, so that a test class which overrides ``setUp()``
without calling its parent's works all the same.
"""

import sys
import unittest
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.test import LiveServerTestCase

from gatepost.testing import assertions
from gatepost.testing.live import LiveGateway
from gatepost.testing.outbox import Outbox, outbox, recorded


class GatepostTestMixin:
    """Records what a test notifies; goes before Django's class.

    ``class OrderTests(GatepostTestMixin, TestCase)`` has ``self.gatepost_outbox``, empty at the
    beginning of each test, ``self.assertNotified()`` and its siblings.
    """

    gatepost_outbox: ClassVar[Outbox] = outbox

    assertNotified = staticmethod(assertions.assertNotified)  # noqa: N815 - as unittest names
    assertNotNotified = staticmethod(assertions.assertNotNotified)  # noqa: N815
    assertRevoked = staticmethod(assertions.assertRevoked)  # noqa: N815

    @classmethod
    def setUpClass(cls) -> None:
        """Record what setUpTestData() notifies, too: it must not look for a gateway."""
        recording = recorded()
        recording.__enter__()
        cls.addClassCleanup(recording.__exit__, None, None, None)  # type: ignore[attr-defined]
        super().setUpClass()  # type: ignore[misc]

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run one test."""
        with recorded():  # Within, since a class may override GATEPOST for itself.
            ran: unittest.TestResult | None = super().run(result)  # type: ignore[misc]
        return ran


class LiveGatewayMixin:
    """Runs the real gateway in front of the live server of Django's class; goes before that.

    ``self.live_gateway`` is one for all tests of the class; the sockets that a test opens with
    ``self.live_gateway.connect()`` are closed with it. Its log is shown where a test fails.
    """

    #: The paths of the socket routes; without them, those of the project's gateway.toml.
    gateway_sockets: ClassVar[Sequence[str | Mapping[str, Any]] | None] = None
    #: Further keys of the configuration, such as ``{"GATEPOST_LIMITS__MESSAGE_RATE": "100/s"}``.
    gateway_environment: ClassVar[Mapping[str, str]] = {}

    live_gateway: ClassVar[LiveGateway]
    live_server_url: str

    @classmethod
    def setUpClass(cls) -> None:
        """Start the gateway once Django's live server listens."""
        super().setUpClass()  # type: ignore[misc]
        cls.live_gateway = LiveGateway(
            str(cls.live_server_url),
            sockets=cls.gateway_sockets,
            environment=cls.gateway_environment,
        )
        cls.live_gateway.start()
        cls.addClassCleanup(cls.live_gateway.stop)  # type: ignore[attr-defined]

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run one test."""
        before = _failures(result)
        try:
            ran: unittest.TestResult | None = super().run(result)  # type: ignore[misc]
            return ran
        finally:
            self.live_gateway.close_sockets()
            # pytest's result counts nothing; there the plugin shows the log.
            if _failures(result) > before:
                sys.stderr.write(f"\nThe gateway's log, for {self}:\n{self.live_gateway.log}\n")


def _failures(result: Any) -> int:
    # In a process of `test --parallel` the result only keeps what it will tell the main one.
    told = [event[0] for event in getattr(result, "events", ())]
    if told:
        return told.count("addFailure") + told.count("addError")
    kept = [getattr(result, kind, None) for kind in ("failures", "errors")]
    return sum(len(one) for one in kept if isinstance(one, list))


class LiveGatewayTestCase(LiveGatewayMixin, LiveServerTestCase):
    """Django's LiveServerTestCase with the real gateway in front of it."""
