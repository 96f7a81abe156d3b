"""`count`: prints what is in the database, as the other side of the count."""

import json

from django.core.management.base import BaseCommand
from gatepost.outbox.models import Item

from ledger.models import Entry


class Command(BaseCommand):
    """Prints entries, and the frames in the order of their numbers."""

    def handle(self, *args, **options):
        """Reads both."""
        entries = sorted(Entry.objects.values_list("writer", "number"))
        items = Item.objects.exclude(seq=None).order_by("seq")
        frames = [json.loads(item.body)["frame"] for item in items]
        said = {
            "entries": entries,
            "numbers": [item.seq for item in items],
            "frames": [(frame["writer"], frame["number"]) for frame in frames],
            "waiting": Item.objects.filter(seq=None).count(),
        }
        self.stdout.write(f"count {json.dumps(said)}")
