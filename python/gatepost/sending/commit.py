"""Holds calls back until the transaction commits, and then hands them on together.

``publishing`` makes the calls; they go to the backend that the settings name. The surprise: Django
runs each ``on_commit`` callback, but says neither which one is the last nor which were dropped with
a savepoint that was rolled back. So every call is one callback *object* that only Django's list
keeps alive: the first that runs takes along all that are still alive, and those that were rolled
back no longer are. That needs reference counts; on other Pythons each call is made on its own.
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
from gatepost.sending import client, piggyback
from gatepost.sending.calls import Call, Recheck

_COUNTS_REFERENCES = sys.implementation.name == "cpython"

_pending = threading.local()

#: For tests, which may look from another thread than the one that called.
_of_all_threads: "weakref.WeakValueDictionary[int, _PendingCall]" = weakref.WeakValueDictionary()
_numbers = count()


class _PendingCall:
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
        send_now([one.call for one in together])

    def _and_later(self) -> list["_PendingCall"]:
        """Return this call and the later ones that were not rolled back, in order.

        Not the earlier ones: a test that captures callbacks runs only those that it captured.
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
    if isinstance(call, Recheck) and piggyback.is_answering():
        return
    using = None
    if conf.value("ON_COMMIT") and not backends.current().in_transaction:
        using = _open_transaction()
    if using is None:
        send_now([call])
        return
    pending = _PendingCall(call, using)
    _remember(pending)
    transaction.on_commit(pending, using=using, robust=bool(conf.value("FAIL_SILENTLY")))


def send_now(calls: Sequence[Call]) -> None:
    """Make calls without waiting for a commit; in a request they may leave on its response."""
    backend = backends.current()
    due = _offered(calls) if backend.rides else calls
    if due:
        backend.send(due)


def send_outside_transaction(calls: Sequence[Call]) -> None:
    """Make calls that must hold even if the transaction is rolled back, such as a logout's.

    In a request they leave with the response, after the earlier calls that still wait for a commit.
    """
    backend = backends.current()
    due = list(calls)
    if backend.rides or backend.in_transaction:
        due = piggyback.add(calls, awaited=_is_awaited())
    if not due:
        return
    if backend.in_transaction:
        backend.send_outside(due)
    else:
        backend.send(due)


def _is_awaited() -> bool:
    """Return whether calls of this thread wait for a commit."""
    return any(not one.sent for using in list(_pending.__dict__) for one in _alive(using))


def _offered(calls: Sequence[Call]) -> list[Call]:
    """Offer calls to the current response; return those that have to be made now.

    The response reaches one gateway: what several must hear has to be sent. Only a recheck waits
    for the response even then, because sent at once it would ask with the key that this very
    response replaces; so does a logout (see :func:`send_outside_transaction`). The middleware sends
    them to all gateways once the response has left.
    """
    if len(client.urls()) == 1:
        return piggyback.add(calls)
    due: list[Call] = []
    for call in calls:
        if isinstance(call, Recheck):
            due += piggyback.add([call])
        else:
            due += [*piggyback.flush_before(call), call]
    return due


def held_back() -> list[Any]:
    """Return the database connection of each call that waits for its commit, in order."""
    return [one.connection for one in _held_back()]


def is_call(callback: object) -> bool:
    """Return whether a callback of ``transaction.on_commit`` is one of these calls."""
    return isinstance(callback, _PendingCall)


def make_held_back(is_due: Callable[[Any], bool]) -> None:
    """Make now what waits at connections that are due, in order: see ``gatepost.testing``."""
    for one in _held_back():
        if is_due(one.connection):
            one()


def _held_back() -> list[_PendingCall]:
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


def _remember(pending: _PendingCall) -> None:
    """Put a call after those that wait already, and forget the ones before that no longer do."""
    calls = _list(pending.using)
    while calls and ((first := calls[0]()) is None or first.sent):
        calls.popleft()
    calls.append(weakref.ref(pending))


def _alive(using: str) -> list[_PendingCall]:
    return [one for reference in _list(using) if (one := reference()) is not None]


def _list(using: str) -> deque["weakref.ref[_PendingCall]"]:
    lists: dict[str, deque[weakref.ref[_PendingCall]]] = _pending.__dict__
    return lists.setdefault(using, deque())
