"""`write WRITER TRANSACTIONS`: writes entries as a busy project does, and publishes each."""

import random
import time

from django.core.management.base import BaseCommand
from django.db import transaction
from gatepost import notify

from ledger.models import Entry


class Abort(Exception):
    """Rolls a transaction, or a savepoint, back."""


class Command(BaseCommand):
    """Some transactions take their time, some are rolled back, whole or in part."""

    def add_arguments(self, parser):
        """Who writes, how much, and to whom it is published."""
        parser.add_argument("writer", type=int)
        parser.add_argument("transactions", type=int)
        parser.add_argument("user", type=int)

    def handle(self, *args, **options):
        """Writes."""
        self.chance = random.Random(options["writer"])
        self.writer, self.user = options["writer"], options["user"]
        self.number = 0
        self.stdout.write("writing")
        self.stdout.flush()
        for _ in range(options["transactions"]):
            try:
                with transaction.atomic():
                    self.transact()
            except Abort:
                continue
        self.stdout.write("written")

    def transact(self):
        """Several entries, now and then with a savepoint that is given up."""
        for _ in range(self.chance.randint(1, 3)):
            self.enter()
        # Keys are handed out now; others, who began later, commit before.
        time.sleep(self.chance.choice([0, 0, 0.002, 0.01]))
        if self.chance.random() < 0.2:
            try:
                with transaction.atomic():
                    self.enter()
                    raise Abort
            except Abort:
                pass
        self.enter()
        if self.chance.random() < 0.2:
            raise Abort

    def enter(self):
        """An entry and its frame: both or neither."""
        self.number += 1
        Entry.objects.create(writer=self.writer, number=self.number)
        notify(self.user, {"type": "entry", "writer": self.writer, "number": self.number})
