"""The app, apart from ``gatepost`` so that projects without an outbox have no tables for it."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """``INSTALLED_APPS += ["gatepost.outbox"]``."""

    name = "gatepost.outbox"
    label = "gatepost_outbox"
    verbose_name = "Gatepost's transactional outbox"
    default_auto_field = "django.db.models.BigAutoField"
