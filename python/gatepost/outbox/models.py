"""The rows of the transactional outbox.

``storing`` inserts items in the transactions of the project; ``numbering`` numbers them afterwards.
The surprise: an item gets its number (``seq``) only when it is seen committed. The primary keys
are handed out in the order of the inserts, and transactions commit in another one: a reader that
remembered the last key would pass by every row whose transaction took a little longer.
"""

import time
import uuid

from django.db import models


def now() -> int:
    """Return the time in unix milliseconds: it means the same with and without USE_TZ."""
    return time.time_ns() // 1_000_000


def new_name() -> str:
    """Return a name that nothing else has."""
    return uuid.uuid4().hex


class Kind(models.TextChoices):
    """What the gateway does with an item."""

    PUBLICATION = "publication"
    REVOCATION = "revocation"
    RECHECK = "recheck"


class Item(models.Model):
    """One call to the gateway, stored in the transaction that it belongs to."""

    id = models.BigAutoField(primary_key=True)
    #: Its place in the order; NULL until it is seen committed.
    seq = models.BigIntegerField(null=True, unique=True, editable=False)
    #: Tells it from what has its number in a database that was restored.
    uid = models.CharField(max_length=32, unique=True, default=new_name, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    #: The body of the call, as the gateway's API takes it, without id and ttl.
    body = models.TextField()
    #: The publication's own id, where it has one.
    name = models.TextField(blank=True, default="")
    #: Unix milliseconds.
    created = models.BigIntegerField(default=now)
    #: Unix milliseconds after which it is no longer sent.
    expires = models.BigIntegerField(null=True, blank=True)

    class Meta:
        """A table of its own, with a name that says whose it is."""

        db_table = "gatepost_outbox_item"
        verbose_name = "item"

    def __str__(self) -> str:
        return f"{self.kind} {self.seq if self.seq is not None else '(not numbered)'}"


class Sequencer(models.Model):
    """The one row that numbering locks."""

    name = models.CharField(max_length=32, primary_key=True)
    #: The last number that was given.
    value = models.BigIntegerField(default=0)
    #: Tells this outbox from one in another database.
    epoch = models.CharField(max_length=32, default=new_name)

    class Meta:
        """A table of its own, with a name that says whose it is."""

        db_table = "gatepost_outbox_sequencer"

    def __str__(self) -> str:
        return f"{self.name} at {self.value}"
