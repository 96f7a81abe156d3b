"""Sends what a request publishes and revokes on its own response, where the gateway takes it off.

``commit`` offers calls to the current request, ``middleware`` begins and ends that. The surprise: a
call may only wait for the response while the order holds in which the project made its calls. The
gateway reads ``Gatepost-Publish`` before ``Gatepost-Revoke``, and both after what was sent to its
API meanwhile. So a call that does not fit, or comes in another order, is returned to be sent at
once, with all calls before it. (A call that waits for a commit is offered late, but counts as made
early.)
"""

import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.http.response import HttpResponseBase

from gatepost.sending import client
from gatepost.sending.calls import Call, Publication, Recheck, Revocation, encode

PUBLISH = "Gatepost-Publish"
REVOKE = "Gatepost-Revoke"

#: The gateway takes so many bytes of each header.
LARGEST_HEADER = 8 * 1024

#: As much JSON as fits a header in base64.
_LARGEST_JSON = LARGEST_HEADER // 4 * 3

#: A request that takes longer than so many seconds sends at once what it says from then on: the
#: progress of a long job is of no use at its end.
PATIENCE = 0.5


@dataclass(frozen=True)
class _Entry:
    """A call as it stands in a header."""

    call: Call
    header: str
    body: str

    @classmethod
    def of(cls, call: Call) -> "_Entry":
        if isinstance(call, Publication):
            return cls(call, PUBLISH, call.json())
        if isinstance(call, Recheck):
            return cls(call, REVOKE, encode({**call.who, "recheck": True}))
        return cls(call, REVOKE, call.json())


class Piggyback:
    """The calls that wait for the response of one request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # A view may have threads.
        self._since = time.monotonic()
        self._open = True
        self._empty()

    def add(self, calls: Sequence[Call], *, awaited: bool = False) -> list[Call]:
        """Keep calls for the response; return those that have to be made now instead.

        ``awaited``: earlier calls of this request still wait for a commit.
        """
        with self._lock:
            if not self._open:
                return list(calls)
            for call in calls:
                self._store(_Entry.of(call))
            patient = awaited or time.monotonic() - self._since < PATIENCE
            return [] if patient and self._fits() else self._flush()

    def attach(self, response: HttpResponseBase) -> list[Call]:
        """Put what was kept on a response; return what has to be made now instead."""
        with self._lock:
            self._open = False
            # Its head may leave as late as its first chunk.
            left = self._flush() if response.streaming else []
            if response.streaming and len(client.urls()) > 1:
                # All gateways are told at its end, which may never come.
                left += [entry.call for entry in self._entries]
                self._empty()
            for name in (PUBLISH, REVOKE):
                bodies = [entry.body for entry in self._entries if entry.header == name]
                if bodies:
                    response[name] = encoded(f"[{','.join(bodies)}]")
            return left

    def flush_before(self, call: Call) -> list[Call]:
        """Return the calls that have to be made before one that is sent at once."""
        with self._lock:
            return self._flush() if self._revoked < call.number else []

    def for_every_gateway(self) -> list[Call]:
        """Return what left on the response and has yet to be sent to all of several gateways."""
        with self._lock:
            return [entry.call for entry in self._entries if len(client.urls()) > 1]

    def discard(self) -> list[Call]:
        """Return what was kept, since there is no response."""
        with self._lock:
            self._open = False
            return self._in_order_of_calls(self._entries)

    def _empty(self) -> None:
        self._entries: list[_Entry] = []
        self._room = {PUBLISH: _LARGEST_JSON - 2, REVOKE: _LARGEST_JSON - 2}
        self._rechecks: set[str] = set()
        self._revoked = float("inf")  # When.
        self._in_order = True

    def _store(self, entry: _Entry) -> None:
        if isinstance(entry.call, Recheck):
            if entry.body in self._rechecks:
                return
            self._rechecks.add(entry.body)
        elif isinstance(entry.call, Revocation):
            self._revoked = min(self._revoked, entry.call.number)
        elif self._revoked < entry.call.number:
            self._in_order = False
        self._entries.append(entry)
        self._room[entry.header] -= len(entry.body.encode()) + 1

    def _fits(self) -> bool:
        return self._in_order and min(self._room.values()) >= 0

    def _flush(self) -> list[Call]:
        """Return all calls in order, but keep the rechecks while these fit.

        A recheck asks Django about this very browser's session too, whose new key (after a change
        of the password) is on its way with this response: it is better late than early.
        """
        entries = self._entries
        self._empty()
        for entry in entries:
            if isinstance(entry.call, Recheck):
                self._store(entry)
        if self._fits():
            entries = [entry for entry in entries if not isinstance(entry.call, Recheck)]
        else:
            self._empty()
        return self._in_order_of_calls(entries)

    @staticmethod
    def _in_order_of_calls(entries: Sequence[_Entry]) -> list[Call]:
        return sorted((entry.call for entry in entries), key=lambda call: call.number)


_current: ContextVar[Piggyback | None] = ContextVar("gatepost.piggyback", default=None)


@contextmanager
def collecting() -> Iterator[Piggyback]:
    """Collect the calls of this context for its response."""
    piggyback = Piggyback()
    token = _current.set(piggyback)
    try:
        yield piggyback
    finally:
        _current.reset(token)


def is_collecting() -> bool:
    """Return whether the current request came through the gateway, which reads its response."""
    return _current.get() is not None


_answering: ContextVar[bool] = ContextVar("gatepost.answering", default=False)


@contextmanager
def answering() -> Iterator[None]:
    """Mark this context as a question of the gateway, which reads nothing but the answer.

    Nothing is collected, and rechecks are dropped: where a middleware saves the user at each
    request, every question would have the gateway ask the next one.
    """
    token = _answering.set(True)
    try:
        yield
    finally:
        _answering.reset(token)


def is_answering() -> bool:
    """Return whether the current request is a question of the gateway."""
    return _answering.get()


def add(calls: Sequence[Call], *, awaited: bool = False) -> list[Call]:
    """Offer calls to the current request; return those that have to be made now."""
    piggyback = _current.get()
    return list(calls) if piggyback is None else piggyback.add(calls, awaited=awaited)


def flush_before(call: Call) -> list[Call]:
    """Return the collected calls that have to be made before one that is sent at once."""
    piggyback = _current.get()
    return [] if piggyback is None else piggyback.flush_before(call)


def encoded(text: str) -> str:
    """Return JSON as a header's value."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")
