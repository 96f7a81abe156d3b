"""Holds calls back until the transaction commits, and then hands them on together.

``publishing`` hands its calls over; they go to the backend of the moment. The surprise: Django
tells each ``on_commit`` callback that it may run, but nobody that it was rolled back with a
savepoint, nor which one is the last. So every call is one callback *object* that only Django's list
keeps alive: the first that runs takes along those that are still alive, and what was rolled back no
longer is. That needs reference counts; on other Pythons each call is made on its own.
"""

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from django.db import connections, transaction

from gatepost import backends, conf, environment
from gatepost.sending import client, riding
from gatepost.sending.calls import Call, Recheck

_COUNTS_REFERENCES = sys.implementation.name == "cpython"

_waiting = threading.local()

#: For tests, which may look from another thread than the one that called.
_of_all_threads: "weakref.WeakValueDictionary[int, _Waiting]" = weakref.WeakValueDictionary()
_numbers = count()


class _Waiting:
    """One call that waits for the commit."""

    def __init__(self, call: Call, using: str) -> None:
        self.call = call
        self.using = using
        self.connection = connections[using]
        self.sent = False
        self.test = environment.current_test()
        _of_all_threads[next(_numbers)] = self

    def __call__(self) -> None:
        if self.sent:
            return
        together = self._and_later() if _COUNTS_REFERENCES else [self]
        for one in together:
            one.sent = True
        at_once([one.call for one in together])

    def _and_later(self) -> list["_Waiting"]:
        """Return this call and those after it that were not rolled back, in order.

        Not those before it: a test that captures callbacks runs only the ones it captured.
        """
        alive = _alive(self.using)
        position = next((i for i, one in enumerate(alive) if one is self), None)
        if position is None:
            return [self]  # Another thread commits than the one that called.
        return [one for one in alive[position:] if not one.sent]


def after_commit(call: Call) -> None:
    """Make a call, together with its neighbours, when the transaction commits.

    Outside of a transaction that is at once.
    """
    if isinstance(call, Recheck) and riding.is_answering():
        return
    using = None
    if conf.value("ON_COMMIT") and not backends.current().in_transaction:
        using = _open_transaction()
    if using is None:
        at_once([call])
        return
    waiting = _Waiting(call, using)
    _remember(waiting)
    transaction.on_commit(waiting, using=using, robust=bool(conf.value("FAIL_SILENTLY")))


def at_once(calls: Sequence[Call]) -> None:
    """Make calls without waiting for a commit; within a request they may ride on its response."""
    backend = backends.current()
    due = _offered(calls) if backend.rides else calls
    if due:
        backend.send(due)


def outside(calls: Sequence[Call]) -> None:
    """Make calls that must hold whatever becomes of the transaction, such as a logout's.

    In a request they ride, so that what it said before, and has yet to commit, comes before.
    """
    backend = backends.current()
    due = list(calls)
    if backend.rides or backend.in_transaction:
        due = riding.take(calls, awaited=_is_awaited())
    if not due:
        return
    if backend.in_transaction:
        backend.send_outside(due)
    else:
        backend.send(due)


def _is_awaited() -> bool:
    """Return whether this thread has said what waits for a commit."""
    return any(not one.sent for using in list(_waiting.__dict__) for one in _alive(using))


def _offered(calls: Sequence[Call]) -> list[Call]:
    """Offer calls to the response of the moment; return those that have to be made now.

    The response reaches one gateway: what several must hear has to be sent. Only a recheck rides
    even then, because sent at once it would ask with the key that this very response replaces, and
    a logout (see :func:`outside`); the middleware sends them to all when the response has left.
    """
    if len(client.urls()) == 1:
        return riding.take(calls)
    due: list[Call] = []
    for call in calls:
        due += riding.take([call]) if isinstance(call, Recheck) else [*riding.before(call), call]
    return due


def held_back() -> list[Any]:
    """Return the database connection of each call that waits for its commit, in order."""
    return [one.connection for one in _held_back()]


def is_call(callback: object) -> bool:
    """Return whether a callback of ``transaction.on_commit`` is one of these calls."""
    return isinstance(callback, _Waiting)


def make_held_back(is_due: Callable[[Any], bool]) -> None:
    """Make now what waits at connections that are due, in order: see ``gatepost.testing``."""
    for one in _held_back():
        if is_due(one.connection):
            one()


def _held_back() -> list[_Waiting]:
    found = [reference() for reference in _of_all_threads.valuerefs()]
    alive = [one for one in found if one is not None and not one.sent]
    # What setUpTestData() made waits for all tests of its class, and is none of theirs.
    return [one for one in alive if one.test == environment.current_test()]


def _open_transaction() -> str | None:
    """Return the alias of the database whose transaction is open: ``DATABASE``, if it is."""
    # Not on_commit() itself: without a transaction it connects to the database to find out.
    known = connections.all(initialized_only=True)
    aliases = [connection.alias for connection in known if connection.in_atomic_block]
    preferred = str(conf.value("DATABASE"))
    return preferred if preferred in aliases else next(iter(aliases), None)


def _remember(waiting: _Waiting) -> None:
    """Put a call after those that wait already, and forget the ones before that no longer do."""
    calls = _list(waiting.using)
    while calls and ((first := calls[0]()) is None or first.sent):
        calls.popleft()
    calls.append(weakref.ref(waiting))


def _alive(using: str) -> list[_Waiting]:
    return [one for reference in _list(using) if (one := reference()) is not None]


def _list(using: str) -> deque["weakref.ref[_Waiting]"]:
    lists: dict[str, deque[weakref.ref[_Waiting]]] = _waiting.__dict__
    return lists.setdefault(using, deque())
