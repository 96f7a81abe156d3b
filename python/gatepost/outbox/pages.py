"""What a gateway gets: the items after its cursor, in order.

``views`` calls it. The surprise: a cursor is a number *and* the uid of the item that has it. After
the database was restored its numbers are given again, to other items, and a gateway that only
remembered the number would pass some of them by and never know.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Min
from django.db.models.functions import Length

from gatepost.outbox import numbering
from gatepost.outbox.models import Item, Kind, Sequencer, now

#: Marks an answer as this view's.
VERSION = 1

#: A page is full when its bodies have so many bytes.
_FULL = 1024 * 1024

#: What a publication may have besides its frame: it may name thousands of users.
_BESIDES = 1024 * 1024

#: How long, in milliseconds, a transaction that revokes may take: until its commit others issue
#: tokens by what held before it, and a gateway that pulls late must not refuse those from after it.
_LONGEST_TRANSACTION = 60_000

#: Why a gateway cannot go on where it was.
_OTHER_EPOCH = "another-epoch"
_OTHER_HISTORY = "database-restored-or-items-pruned"


@dataclass(frozen=True)
class Cursor:
    """Where a gateway is."""

    after: int
    uid: str
    epoch: str


@dataclass(frozen=True)
class PageRequest:
    """What a gateway asks for."""

    #: None: it never pulled.
    cursor: Cursor | None
    #: The most items.
    limit: int
    #: The largest frame that the gateway takes, in bytes.
    size: int


@dataclass(frozen=True)
class _Answer:
    """What it gets."""

    items: Sequence[Item] = ()
    #: Why there are none, and the gateway goes on at the newest number.
    reset: str = ""


def page(using: str, asked: PageRequest) -> str:
    """Return the answer to a gateway, as JSON."""
    # A new gateway begins with what no gateway has numbered yet, so nothing is numbered for it.
    if asked.cursor is not None and numbering.waiting(using):
        numbering.number(using, asked.limit)
    # Read only now: while this one looked, another gateway's question may have numbered items.
    found = numbering.sequencer(using)
    answer = _answer(using, found, asked)
    if answer.reset:
        # Clients fetch again what is committed: none of it is to come after that as news.
        numbering.number_all(using, asked.limit)
        found = numbering.sequencer(using)
    return _text(using, found, answer, asked.size)


def _answer(using: str, found: Sequencer, asked: PageRequest) -> _Answer:
    if asked.cursor is None:
        return _Answer()
    why = _break(using, found, asked.cursor)
    return _Answer(reset=why) if why else _Answer(_items(using, asked.cursor, asked.limit))


def _break(using: str, found: Sequencer, cursor: Cursor) -> str:
    """Return why the items after the cursor cannot be had, or ""."""
    if cursor.epoch != found.epoch:
        return _OTHER_EPOCH
    if cursor.after == 0:
        oldest = Item.objects.using(using).aggregate(oldest=Min("seq"))["oldest"]
        return _OTHER_HISTORY if oldest is not None and oldest > 1 else ""
    known = Item.objects.using(using).filter(seq=cursor.after, uid=cursor.uid)
    # The newest numbered item is never pruned, so a gateway that is up to date finds its own.
    return "" if known.exists() else _OTHER_HISTORY


def _items(using: str, cursor: Cursor, limit: int) -> list[Item]:
    rows = Item.objects.using(using).filter(seq__gt=cursor.after).order_by("seq")
    sizes = rows.annotate(size=Length("body")).values_list("seq", "size")[:limit]
    end, filled = cursor.after, 0
    for seq, size in sizes:
        filled += size
        if filled > _FULL and end > cursor.after:
            break
        end = seq
    return list(rows.filter(seq__lte=end))


def _text(using: str, found: Sequencer, answer: _Answer, size: int) -> str:
    rows = Item.objects.using(using)
    end = answer.items[-1] if answer.items else rows.filter(seq=found.value).first()
    said = {
        "v": VERSION,
        "epoch": found.epoch,
        "next": end.seq if end else found.value,
        "uid": end.uid if end else "",
        "oldest": rows.aggregate(oldest=Min("seq"))["oldest"],
        "last": found.value,
        "more": bool(end and end.seq < found.value) or numbering.waiting(using),
        **({"reset": answer.reset} if answer.reset else {}),
    }
    return f'{_json(said)[:-1]},"items":[{",".join(_texts(answer.items, size))}]}}'


def _texts(items: Iterable[Item], size: int) -> Iterable[str]:
    """Yield the items as JSON; a frame goes into it byte for byte as it was stored."""
    moment = now()
    for item in items:
        head = f'{{"seq":{item.seq},"uid":{_json(item.uid)},"at":{item.created}'
        if item.expires is not None and item.expires <= moment:
            yield f'{head},"skipped":"expired"}}'
        elif len(item.body) > size + _BESIDES:
            yield f'{head},"skipped":"too-large"}}'
        else:
            yield f"{head},{_json(item.kind)}:{_body(item, moment)}}}"


def _body(item: Item, moment: int) -> str:
    """Return the body with what only now can be said: the id, and how long it is wanted.

    Of a topic's revocation it is the time until which tokens may have been issued before it.
    """
    said: dict[str, object] = {}
    if item.kind == Kind.REVOCATION and "topic" in json.loads(item.body):
        said["at"] = min(moment, item.created + _LONGEST_TRANSACTION)
    if item.name:
        said["id"] = item.name
    if item.expires is not None:
        said["ttl"] = f"{item.expires - moment}ms"
    return f"{item.body[:-1]},{_json(said)[1:]}" if said else item.body


def _json(said: object) -> str:
    return json.dumps(said, separators=(",", ":"))
