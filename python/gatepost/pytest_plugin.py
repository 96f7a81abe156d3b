"""The pytest plugin: the fixtures ``gatepost_outbox`` and ``live_gateway``.

The entry point ``pytest11`` loads it in every pytest of an environment that has Gatepost, so the
surprise is what it does not do: it asks for no settings before a test wants one of the fixtures.
It only says that these are tests, which nothing else does without pytest-django, and counts them,
so that each begins with an empty outbox.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from gatepost import environment


@pytest.fixture(autouse=True)
def _gatepost_test_begins() -> None:
    """Leave behind what earlier tests have notified."""
    environment.begin_test()


@pytest.fixture
def gatepost_outbox() -> Iterator[Any]:
    """Record what the test notifies: ``gatepost.testing.outbox``, empty at first."""
    from gatepost.testing import recorded

    with recorded() as outbox:
        yield outbox


@pytest.fixture
def gatepost_sockets() -> list[Any] | None:
    """Name the live gateway's socket routes; override it where gateway.toml does not say."""
    return None


@pytest.fixture
def gatepost_environment() -> dict[str, str]:
    """Set further keys of the live gateway; override it, with GATEPOST_LIMITS__HEADERS, say."""
    return {}


class _WithDjango:
    """For sessions with pytest-django, which has the live server."""

    @pytest.fixture
    def live_gateway(
        self,
        live_server: Any,
        gatepost_sockets: list[Any] | None,
        gatepost_environment: dict[str, str],
    ) -> Iterator[Any]:
        """Run the real gateway in front of ``live_server``: a ``gatepost.testing.LiveGateway``."""
        from gatepost.testing import LiveGateway

        gateway = LiveGateway(
            live_server.url, sockets=gatepost_sockets, environment=gatepost_environment
        )
        with gateway:
            yield gateway


class _WithoutDjango:
    """For sessions without it."""

    @pytest.fixture
    def live_gateway(self) -> None:
        """Say what it needs."""
        pytest.fail(
            "live_gateway needs the live_server of pytest-django (pip install pytest-django)."
            " Without it, let your test class inherit from gatepost.testing.LiveGatewayTestCase.",
            pytrace=False,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Let nothing leave, and offer the ``live_gateway`` that this session can have."""
    environment.begin_session()
    plugins = config.pluginmanager
    fixtures = _WithDjango() if plugins.hasplugin("django") else _WithoutDjango()
    plugins.register(fixtures, "gatepost-live-gateway")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Show the gateway's log with a test that failed."""
    outcome: Any = yield
    report = outcome.get_result()
    fixture = getattr(item, "funcargs", {}).get("live_gateway")
    gateway = fixture or getattr(getattr(item, "instance", None), "live_gateway", None)
    if report.failed and gateway is not None:
        report.sections.append(("The gateway's log", gateway.log))
