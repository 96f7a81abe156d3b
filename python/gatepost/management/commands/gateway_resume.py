"""``manage.py gateway_resume``: what waits through a pause goes on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gatepost.sending import client, operations


class Command(BaseCommand):
    """Ends a pause at every gateway; exit code 1 where one did not take it."""

    help = "Ends a pause (gateway_pause) before its time."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Order it and say what came of it."""
        try:
            operations.resume()
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("There is no pause.")
