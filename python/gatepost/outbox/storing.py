"""Stores calls in the caller's transaction, and wakes the gateways when it has committed.

``backends.outbox`` calls it. A wake-up carries nothing and may be lost, since gateways also poll.
"""

import json
import logging
import re
from collections.abc import Sequence

from django.db import connections, transaction

from gatepost import backends
from gatepost.outbox.models import Item, Kind, now
from gatepost.sending import client
from gatepost.sending.calls import (
    OPTIONS,
    Call,
    Publication,
    Revocation,
    TopicRevocation,
    encode,
)

logger = logging.getLogger("gatepost")

#: What is kept in the body. How long it is wanted depends on when it is asked for, and a replayed
#: publication needs another id: both are added then. So is the time of a topic's revocation.
_KEPT = tuple(name for name in OPTIONS if name not in ("id", "ttl"))

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def store(calls: Sequence[Call], using: str) -> None:
    """Insert a row for each call, and wake the gateways after the commit."""
    moment = now()
    items = [_item(call, moment) for call in calls]
    if connections[using].vendor == "mysql":
        # Its older tables hold no character above U+FFFF, and the project's transaction would fail.
        for item in items:
            item.body = _ASTRAL.sub(_escaped, item.body)
    Item.objects.using(using).bulk_create(items)
    wake_after_commit(using)


def wake_after_commit(using: str) -> None:
    """Wake the gateways once when the transaction has committed; without one, now."""
    # A callback of a savepoint that is rolled back is gone, but so are the rows of that savepoint.
    callbacks = connections[using].run_on_commit
    if not any(callback[1] is wake for callback in callbacks):
        transaction.on_commit(wake, using=using, robust=True)


def wake() -> None:
    """Tell every gateway that there is something to pull."""
    for url in () if backends.is_cut_off() else client.urls():
        try:
            client.post("/v1/wake", b"{}", content_type="application/json", url=url)
        except client.SkippedError:
            continue
        except client.UnreachableError as error:
            logger.debug("gateway not woken, it will see at its next poll: %s", error)
        except client.GatewayError as error:
            logger.log(error.level, "gateway not woken: %s", error)


def _item(call: Call, moment: int) -> Item:
    if not isinstance(call, Publication):
        kind = Kind.REVOCATION if isinstance(call, Revocation) else Kind.RECHECK
        said = encode(call.undated()) if isinstance(call, TopicRevocation) else call.json()
        return Item(kind=kind, body=said, created=moment)
    return Item(
        kind=Kind.PUBLICATION,
        body=call.json(_KEPT),
        name=call.id,
        created=moment,
        expires=moment + _milliseconds(call.ttl) if call.ttl is not None else None,
    )


def _escaped(found: "re.Match[str]") -> str:
    """Return a character as JSON escapes it; in JSON it only stands within strings."""
    return json.dumps(found.group())[1:-1]


def _milliseconds(ttl: str) -> int:
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", ttl).groups()  # type: ignore[union-attr]
    return int(number) * _MILLISECONDS[unit]
