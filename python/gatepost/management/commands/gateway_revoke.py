"""``manage.py gateway_revoke --user 42``: closes sockets, or ends subscriptions, by hand."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost.management.targets import add_user_options, topic_name, user_option
from gatepost.sending import client, operations
from gatepost.sending.calls import NOT_LOGGED_IN


class Command(BaseCommand):
    """Says how many were closed. The sessions live on: users who are logged in may come back."""

    help = (
        "Closes the sockets of a user, a session or a connection. It does not log anybody out:"
        " with the code 4001 the page is told to go to the login page, and the session's key is"
        " refused for a minute. With --topic it ends subscriptions instead (of all, or with --user"
        " of one user), and the tokens that were issued for them; their sockets stay open."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the user, session or connection, and what their sockets are closed with."""
        add_user_options(parser, what="the sockets")
        parser.add_argument(
            "--session", metavar="DIGEST", help="as gateway_connections --json shows it"
        )
        parser.add_argument("--connection", metavar="ID", help="as gateway_connections shows it")
        parser.add_argument("--topic", metavar="NAME", help="whose listeners: shop.order:17")
        parser.add_argument(
            "--code", type=int, default=NOT_LOGGED_IN, help="the close code (default: 4001)"
        )
        parser.add_argument(
            "--reason", default="closed by an operator", help="what the page is told, 123 bytes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke and say what came of it."""
        named = {
            "user": user_option(options),
            "session": options["session"],
            "connection": options["connection"],
        }
        who = {kind: name for kind, name in named.items() if name is not None}
        try:
            if options["topic"] is not None:
                self.stdout.write(_unsubscribe(topic_name(options["topic"]), who))
                return
            if len(who) != 1:
                raise CommandError("Name one of --user, --username, --session and --connection.")
            closed = operations.revoke(who, code=options["code"], reason=options["reason"])
        except client.GatewayError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("1 socket closed." if closed == 1 else f"{closed} sockets closed.")


def _unsubscribe(topic: str, who: dict[str, str]) -> str:
    if not who.keys() <= {"user"}:
        raise CommandError("With --topic give at most one of --user and --username, and no other.")
    ended = operations.unsubscribe(topic, who.get("user"))
    return "1 subscription ended." if ended == 1 else f"{ended} subscriptions ended."
