"""The app: connects the receivers and registers the checks."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out

from gatepost import checks, signals


class GatepostConfig(AppConfig):
    """``INSTALLED_APPS += ["gatepost"]``."""

    name = "gatepost"
    verbose_name = "Gatepost"

    def ready(self) -> None:
        """Wire what Django calls."""
        user_logged_out.connect(signals.close_sockets, dispatch_uid="gatepost.close_sockets")
        user_logged_in.connect(
            signals.close_replaced_sockets, dispatch_uid="gatepost.close_replaced_sockets"
        )
        checks.register_all()
