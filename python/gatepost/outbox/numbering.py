"""Numbers the committed items, without gaps, in the order in which they are seen.

``pages`` calls it. The surprise: everything happens under a lock on one row that is taken by the
*first* statement of the transaction. So two gateways never number at once, each sees what the other
has numbered, and every item whose transaction ended before the lock was taken is in sight.
"""

from django.db import connections, transaction
from django.db.models import F, Max

from gatepost.outbox.models import Item, Sequencer

#: The row's name.
_NAME = "outbox"

#: So many at once: the statement that numbers them must fit every database.
_TOGETHER = 200


def sequencer(using: str) -> Sequencer:
    """Return the sequencer as it is; made where there is none yet."""
    found: Sequencer = Sequencer.objects.using(using).get_or_create(name=_NAME)[0]
    return found


def waiting(using: str) -> bool:
    """Return whether there are committed items without a number."""
    return bool(Item.objects.using(using).filter(seq=None).exists())


def number_all(using: str, together: int) -> None:
    """Give numbers to all items that are committed now, in transactions of ``together`` each."""
    waiting = Item.objects.using(using).filter(seq=None)
    newest = waiting.aggregate(newest=Max("id"))["newest"] or 0
    while waiting.filter(id__lte=newest).exists():
        number(using, together)


def number(using: str, most: int) -> None:
    """Give numbers to committed items, up to ``most`` of them."""
    sequencer(using)  # its row exists
    with transaction.atomic(using=using):
        locked = _lock(using)
        items = list(Item.objects.using(using).filter(seq=None).only("id").order_by("id")[:most])
        for place, item in enumerate(items, start=locked.value + 1):
            item.seq = place
        Item.objects.using(using).bulk_update(items, ["seq"], batch_size=_TOGETHER)
        locked.value += len(items)
        locked.save(using=using, update_fields=["value"])


def _lock(using: str) -> Sequencer:
    rows = Sequencer.objects.using(using).filter(name=_NAME)
    if connections[using].features.has_select_for_update:
        locked: Sequencer = rows.select_for_update().get()
        return locked
    # SQLite: a transaction that began by reading could not write once somebody else has written.
    # One that begins by writing waits for its turn.
    rows.update(value=F("value"))
    return rows.get()
