"""Deletes what every gateway has had long enough to pull: ``GATEPOST["OUTBOX_KEEP"]`` seconds.

``views`` calls :func:`prune_now_and_then`, the command ``gateway_outbox prune`` calls
:func:`prune`. The surprise: the newest numbered item stays for ever, since the cursors of all
gateways that are up to date point to it; and what has no number stays, since no gateway has had it.
"""

from gatepost import conf
from gatepost.outbox.models import Item, now
from gatepost.throttle import Throttle

#: So many rows at once: a short statement, and no table lock.
_TOGETHER = 1000

#: A process looks once a minute.
_throttle = Throttle(60)


def prune_now_and_then(using: str) -> None:
    """Delete some of what is old, if this process has not just looked."""
    if _throttle.allows():
        prune(using, float(conf.value("OUTBOX_KEEP")), most=10 * _TOGETHER)


def prune(using: str, keep: float, *, most: int | None = None) -> int:
    """Delete what is older than ``keep`` seconds; return how many items that were."""
    pruned = 0
    while most is None or pruned < most:
        now_pruned = _prune_some(using, now() - int(keep * 1000))
        pruned += now_pruned
        if now_pruned < _TOGETHER:
            break
    return pruned


def _prune_some(using: str, before: int) -> int:
    """Delete the oldest numbers, so that those that are left have no gap."""
    rows = Item.objects.using(using)
    numbered = rows.filter(seq__isnull=False)
    oldest = list(numbered.order_by("seq").values_list("seq", "created")[: _TOGETHER + 1])
    old = 0
    # All but the last: it may be the newest.
    for _, created in oldest[:-1]:
        if created >= before:
            break
        old += 1
    if not old:
        return 0
    deleted: int = rows.filter(seq__lte=oldest[old - 1][0]).delete()[0]
    return deleted
