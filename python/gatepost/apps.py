"""The app: connects the receivers and registers the checks."""

from django.apps import AppConfig
from django.core.signals import request_started

from gatepost import backends, checks, process, signals


class GatepostConfig(AppConfig):
    """``INSTALLED_APPS += ["gatepost"]``."""

    name = "gatepost"
    verbose_name = "Gatepost"

    def ready(self) -> None:
        """Wire what Django calls."""
        backends.remember_project()
        request_started.connect(process.note_request, dispatch_uid="gatepost.note_request")
        signals.connect()
        checks.register_all()
