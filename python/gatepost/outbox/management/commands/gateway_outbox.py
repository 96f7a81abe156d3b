"""``manage.py gateway_outbox stats|prune|replay``: looks after the transactional outbox."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost import conf
from gatepost.outbox import numbering, pruning, replaying
from gatepost.outbox.models import Item, now


class Command(BaseCommand):
    """One action a call; each says what it did."""

    help = "Shows, prunes or replays what is stored for the gateways."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the action and its bounds."""
        actions = parser.add_subparsers(dest="action", required=True)
        stats = actions.add_parser("stats", help="how much is stored, and how old it is")
        stats.add_argument("--json", action="store_true", help="one JSON object")
        prune = actions.add_parser("prune", help="delete what gateways have had time to pull")
        prune.add_argument("--keep", type=float, metavar="SECONDS", help="GATEPOST['OUTBOX_KEEP']")
        replay = actions.add_parser("replay", help="store publications again, for every gateway")
        replay.add_argument("first", type=int, help="the first number (see `stats`)")
        replay.add_argument("last", type=int, help="the last number")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        using = str(conf.value("DATABASE"))
        action = {"stats": self._stats, "prune": self._prune, "replay": self._replay}
        action[options["action"]](using, options)

    def _stats(self, using: str, options: dict[str, Any]) -> None:
        rows = Item.objects.using(using)
        numbered = rows.filter(seq__isnull=False).order_by("seq")
        waiting = rows.filter(seq=None).order_by("id")
        oldest, longest = numbered.first(), waiting.first()
        said = {
            "epoch": numbering.sequencer(using).epoch,
            "oldest": oldest.seq if oldest else None,
            "newest": numbering.sequencer(using).value,
            "stored": numbered.count(),
            "not_pulled": waiting.count(),
            "not_pulled_for_seconds": (now() - longest.created) // 1000 if longest else 0,
        }
        if options["json"]:
            self.stdout.write(json.dumps(said))
            return
        for name, value in said.items():
            self.stdout.write(f"{name.replace('_', ' '):24}{'-' if value is None else value}")

    def _prune(self, using: str, options: dict[str, Any]) -> None:
        keep = conf.value("OUTBOX_KEEP") if options["keep"] is None else options["keep"]
        self.stdout.write(f"{pruning.prune(using, float(keep))} items deleted.")

    def _replay(self, using: str, options: dict[str, Any]) -> None:
        first, last = options["first"], options["last"]
        if not 0 < first <= last:
            raise CommandError("The first number must be above 0, and not above the last.")
        self.stdout.write(f"{replaying.replay(using, first, last)} publications stored again.")
