"""``manage.py gateway_connections``: who is connected."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from gatepost.management.targets import add_user_options, topic_name, user_option
from gatepost.sending import client, operations

_COLUMNS = ("user", "socket", "address", "since", "sent", "queued", "connection")


class Command(BaseCommand):
    """Prints a table, or with ``--json`` one object a line, as the gateway says it."""

    help = "Lists the connections that the gateway holds, the oldest first."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the user, and the form of the output."""
        add_user_options(parser, what="only the connections")
        parser.add_argument(
            "--topic", metavar="NAME", help="only those that listen to it, such as shop.order:17"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the gateway and print."""
        try:
            topic = topic_name(options["topic"]) if options["topic"] is not None else None
            found = operations.connections(user_option(options), topic=topic)
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.writelines(f"{json.dumps(one)}\n" for one in found)
            return
        if not found:
            self.stdout.write("Nobody is connected.")
            return
        rows = [_COLUMNS, *(tuple(_text(one, name) for name in _COLUMNS) for one in found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _text(connection: dict[str, Any], name: str) -> str:
    value = connection.get(name)
    if name == "user" and value is None:
        return operations.VISITOR
    if name == "since" and value is not None:
        since = datetime.fromtimestamp(int(value), tz=timezone.get_current_timezone())
        return since.isoformat(" ", "seconds")
    return "" if value is None else str(value)
