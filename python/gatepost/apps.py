"""The app: connects the receivers and registers the checks."""

from django.apps import AppConfig, apps
from django.core.signals import request_started

from gatepost import backends, checks, signals
from gatepost.sending import process


class GatepostConfig(AppConfig):
    """``INSTALLED_APPS += ["gatepost"]``."""

    name = "gatepost"
    verbose_name = "Gatepost"

    def ready(self) -> None:
        """Wire what Django calls."""
        backends.remember_project()
        request_started.connect(process.record_request, dispatch_uid="gatepost.note_request")
        if apps.is_installed("django.contrib.auth"):
            # Needs its models; without them a check says what is missing.
            from gatepost.sending import changes

            signals.connect()
            changes.connect()
        checks.register_all()
