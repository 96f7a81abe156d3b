"""``manage.py gateway_reload``: the gateway reads its gateway.toml again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gatepost.sending import client, operations


class Command(BaseCommand):
    """Reloads every gateway; exit code 1, and the findings, where one did not take it."""

    help = (
        "Has the gateway read its gateway.toml again, as a whole or not at all: open sockets stay"
        " open, and requests under way are answered."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Order it and say what came of it."""
        try:
            operations.reload()
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Reloaded.")
