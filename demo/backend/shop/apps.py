"""The application behind the demo's second page."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Orders, which a page shows while they change."""

    name = "shop"
    default_auto_field = "django.db.models.BigAutoField"
