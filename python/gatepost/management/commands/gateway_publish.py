"""``manage.py gateway_publish user:42 '{"type":"test"}'``: sends a frame by hand."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost.management.targets import FORMS, audience, parse_target
from gatepost.sending import client, operations
from gatepost.sending.calls import encode


class Command(BaseCommand):
    """Says how many sockets got it; exit code 1 where the gateway did not take it."""

    help = "Sends a frame to the open sockets of a user, a group, a session or everyone."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the target, the frame and the options of a publication."""
        parser.add_argument("target", type=parse_target, metavar="target", help=FORMS)
        parser.add_argument("frame", help="what they get: JSON, or - to read it from stdin")
        parser.add_argument("--ttl", help="after this time, such as 60s, it is no longer sent")
        parser.add_argument("--key", help="of one key a slow client gets only the newest frame")
        parser.add_argument("--id", help="the gateway takes one id once in five minutes")
        parser.add_argument("--socket", help="only sockets at this path")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish and say what came of it."""
        chosen = {name: options[name] for name in ("ttl", "key", "id", "socket")}
        try:
            delivery = operations.publish(
                audience(*options["target"]), _frame(options["frame"]), **chosen
            )
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_sentence(delivery))


def _frame(text: str) -> Any:
    try:
        frame = json.loads(sys.stdin.read() if text == "-" else text)
        encode(frame)  # Python reads NaN and 1e999, too.
        return frame
    except ValueError as error:
        raise CommandError(
            f'The frame is not JSON: {error}. Write it in single quotes: \'{{"type":"test"}}\''
        ) from error


def _sentence(delivery: operations.Delivery) -> str:
    if not delivery.sockets:
        return "Taken, but nobody who was addressed is connected."
    sockets = "1 socket" if delivery.sockets == 1 else f"{delivery.sockets} sockets"
    offline = f" {delivery.offline} of the users had none." if delivery.offline else ""
    return f"Sent to {sockets}.{offline}"
