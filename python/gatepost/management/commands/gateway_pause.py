"""``manage.py gateway_pause --for 60s``: requests wait, while a database is migrated say."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost.sending import client, operations


class Command(BaseCommand):
    """Begins a pause at every gateway; exit code 1 where one did not take it."""

    help = (
        "Has requests to Django and the frontend wait, each for at most `django.queue_timeout` of"
        " gateway.toml, then get 503. Files, health and open sockets go on. It ends by itself, or"
        " sooner by gateway_resume."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how long it lasts."""
        parser.add_argument(
            "--for",
            dest="length",
            metavar="TIME",
            default="60s",
            help="such as 90s or 5m, at most an hour (default: 60s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Order it and say what came of it."""
        try:
            operations.pause(options["length"])
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Paused for {options['length']}.")
