"""``manage.py gateway_maintenance on --message "Back at 5"``: 503 for all but whom one names."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost.sending import client, operations


class Command(BaseCommand):
    """Begins or ends maintenance at every gateway; exit code 1 where one did not take it."""

    help = (
        "Has the gateway answer 503 in place of Django and the frontend, until it is turned off;"
        " it survives a restart. Files, health and open sockets go on."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is to be, what people are told, and whom it does not concern."""
        parser.add_argument("state", choices=("on", "off"))
        parser.add_argument("--message", metavar="TEXT", help="what people are told")
        parser.add_argument(
            "--allow",
            metavar="NET",
            action="append",
            help="a network or an address whose requests go on; several times for several",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Order it and say what came of it."""
        state, message, allow = options["state"], options["message"], options["allow"] or []
        if state == "off" and (message is not None or allow):
            raise CommandError("--message and --allow go with `on`.")
        try:
            if state == "on":
                warnings = operations.begin_maintenance(message, allow)
            else:
                warnings = operations.end_maintenance()
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Maintenance is {state}.")
        for warning in warnings:
            self.stderr.write(f"Warning: {warning}.")
