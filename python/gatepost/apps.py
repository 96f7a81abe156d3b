"""The app: connects the receivers and registers the checks."""

from django.apps import AppConfig

from gatepost import backends, checks, signals


class GatepostConfig(AppConfig):
    """``INSTALLED_APPS += ["gatepost"]``."""

    name = "gatepost"
    verbose_name = "Gatepost"

    def ready(self) -> None:
        """Wire what Django calls."""
        backends.remember_project()
        signals.connect()
        checks.register_all()
