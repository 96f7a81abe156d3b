"""Holds calls back until the transaction commits, and then makes them together.

``publishing`` hands its calls over. The surprise: Django tells each ``on_commit`` callback that it
may run, but nobody that it was rolled back with a savepoint, nor which one is the last. So every
call is one callback *object* that only Django's list keeps alive: the first that runs takes along
those that are still alive, and what was rolled back no longer is. That needs reference counts;
on other Pythons each call is made on its own.
"""

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

Send = Callable[[list[Any]], None]

_COUNTS_REFERENCES = sys.implementation.name == "cpython"

_waiting = threading.local()


class _Call:
    """One call that waits for the commit."""

    def __init__(self, call: Any, send: Send, using: str) -> None:
        self.call = call
        self.send = send
        self.using = using
        self.sent = False

    def __call__(self) -> None:
        if self.sent:
            return
        together = self._and_later() if _COUNTS_REFERENCES else [self]
        for one in together:
            one.sent = True
        self.send([one.call for one in together])

    def _and_later(self) -> list["_Call"]:
        """Return this call and those after it that were not rolled back, in order.

        Not those before it: a test that captures callbacks runs only the ones it captured.
        """
        alive = _alive(self.using)
        position = next((i for i, one in enumerate(alive) if one is self), None)
        if position is None:
            return [self]  # Another thread commits than the one that called.
        return [one for one in alive[position:] if one.send is self.send and not one.sent]


def after_commit(call: Any, send: Send) -> None:
    """Pass a call to ``send``, in a list with its neighbours, when the transaction commits.

    Outside of a transaction that is at once.
    """
    using = _open_transaction()
    if using is None:
        send([call])
        return
    waiting = _Call(call, send, using)
    _list(using)[:] = [weakref.ref(one) for one in (*_alive(using), waiting) if not one.sent]
    transaction.on_commit(waiting, using=using, robust=True)


def _open_transaction() -> str | None:
    """Return the alias of the database whose transaction is open: the default one, if it is."""
    # Not on_commit() itself: without a transaction it connects to the database to find out.
    known = connections.all(initialized_only=True)
    aliases = [connection.alias for connection in known if connection.in_atomic_block]
    return DEFAULT_DB_ALIAS if DEFAULT_DB_ALIAS in aliases else next(iter(aliases), None)


def _alive(using: str) -> list[_Call]:
    return [one for reference in _list(using) if (one := reference()) is not None]


def _list(using: str) -> list["weakref.ref[_Call]"]:
    lists: dict[str, list[weakref.ref[_Call]]] = _waiting.__dict__
    return lists.setdefault(using, [])
