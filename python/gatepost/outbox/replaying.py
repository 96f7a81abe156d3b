"""Stores publications once more, as if they had been made now.

The command ``gateway_outbox replay`` calls it. The copies have no id of their own, or gateways that
remember the first ones would take them for the same.
"""

from django.db import transaction

from gatepost.outbox.models import Item, Kind
from gatepost.outbox.storing import wake_after_commit

#: So many rows are copied by one statement.
_TOGETHER = 500


def replay(using: str, first: int, last: int) -> int:
    """Copy the publications from one number to another; return how many there were.

    Revocations are not made again: sessions that began since would end. Nor is what had a time to
    live.
    """
    rows = Item.objects.using(using).filter(seq__range=(first, last), expires=None)
    publications = rows.filter(kind=Kind.PUBLICATION).order_by("seq")
    with transaction.atomic(using=using):
        copies = [Item(kind=item.kind, body=item.body) for item in publications]
        Item.objects.using(using).bulk_create(copies, batch_size=_TOGETHER)
        wake_after_commit(using)
    return len(copies)
