"""The application behind the demo's page."""

from django.apps import AppConfig


class BoardConfig(AppConfig):
    """Has no models of its own: users, groups and sessions are Django's."""

    name = "board"
