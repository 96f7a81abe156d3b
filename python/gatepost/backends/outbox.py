"""Stores the calls in the transaction that they belong to, from where gateways pull them.

The surprise: a call that must hold whatever becomes of the transaction, as a logout's revocation,
goes to the gateway directly, and is stored only where that fails.
"""

from collections.abc import Sequence

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from gatepost import conf
from gatepost.backends import Backend as Base
from gatepost.backends import http
from gatepost.sending import client
from gatepost.sending.calls import Call


class Backend(Base):
    """``"OUTBOX": True``, or ``"BACKEND": "gatepost.backends.outbox.Backend"``."""

    in_transaction = True

    def __init__(self) -> None:
        if not apps.is_installed("gatepost.outbox"):
            raise ImproperlyConfigured(
                "GATEPOST asks for the transactional outbox: add 'gatepost.outbox' to"
                " INSTALLED_APPS and run `manage.py migrate`."
            )

    def send(self, calls: Sequence[Call]) -> None:
        """Store them."""
        # The models exist only where the app is installed.
        from gatepost.outbox.storing import store

        store(calls, str(conf.value("DATABASE")))

    def send_outside(self, calls: Sequence[Call]) -> None:
        """Make them now, and store them where a gateway did not take them."""
        if not client.urls() or http.deliver(calls) is not None:
            self.send(calls)
