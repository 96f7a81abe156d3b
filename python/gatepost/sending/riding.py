"""What a request says leaves on its response, where the gateway takes it off.

``commit`` offers its calls to the request of the moment, ``middleware`` opens and closes it. The
surprise: it is only kept back where the order holds in which the project said it. The gateway reads
``Gatepost-Publish`` before ``Gatepost-Revoke``, and the response's head after whatever the API was
told; so what does not fit, or was said in another order, is given back to be sent at once, together
with all that came before it. (What waits for a commit comes late, and was said early all the same.)
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
class _Rider:
    """A call with what is said of it in a header."""

    call: Call
    header: str
    body: str

    @classmethod
    def of(cls, call: Call) -> "_Rider":
        if isinstance(call, Publication):
            return cls(call, PUBLISH, call.json())
        if isinstance(call, Recheck):
            return cls(call, REVOKE, encode({**call.who, "recheck": True}))
        return cls(call, REVOKE, call.json())


class Ride:
    """The calls of one request that wait for its response."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # A view may have threads.
        self._since = time.monotonic()
        self._open = True
        self._empty()

    def take(self, calls: Sequence[Call], *, awaited: bool = False) -> list[Call]:
        """Keep calls for the response; return those that have to be made now instead.

        ``awaited`` says that something was said earlier, and has yet to be committed.
        """
        with self._lock:
            if not self._open:
                return list(calls)
            for call in calls:
                self._add(_Rider.of(call))
            patient = awaited or time.monotonic() - self._since < PATIENCE
            return [] if patient and self._fits() else self._unload()

    def depart(self, response: HttpResponseBase) -> list[Call]:
        """Put what was kept on a response; return what has to be made now instead."""
        with self._lock:
            self._open = False
            # Its head may leave as late as its first chunk.
            left = self._unload() if response.streaming else []
            if response.streaming and len(client.urls()) > 1:
                # Nor is its end, after which all are told, a moment that anybody can wait for.
                left += [rider.call for rider in self._riders]
                self._empty()
            for name in (PUBLISH, REVOKE):
                bodies = [rider.body for rider in self._riders if rider.header == name]
                if bodies:
                    response[name] = encoded(f"[{','.join(bodies)}]")
            return left

    def before(self, call: Call) -> list[Call]:
        """Return what was kept and has to be made before a call that does not ride."""
        with self._lock:
            return self._unload() if self._revoked < call.said else []

    def for_all(self) -> list[Call]:
        """Return what departed, and has yet to be sent to all of several gateways."""
        with self._lock:
            return [rider.call for rider in self._riders if len(client.urls()) > 1]

    def cancel(self) -> list[Call]:
        """Return what was kept: there is no response."""
        with self._lock:
            self._open = False
            return self._in_said_order(self._riders)

    def _empty(self) -> None:
        self._riders: list[_Rider] = []
        self._room = {PUBLISH: _LARGEST_JSON - 2, REVOKE: _LARGEST_JSON - 2}
        self._rechecks: set[str] = set()
        self._revoked = float("inf")  # When.
        self._in_order = True

    def _add(self, rider: _Rider) -> None:
        if isinstance(rider.call, Recheck):
            if rider.body in self._rechecks:
                return
            self._rechecks.add(rider.body)
        elif isinstance(rider.call, Revocation):
            self._revoked = min(self._revoked, rider.call.said)
        elif self._revoked < rider.call.said:
            self._in_order = False
        self._riders.append(rider)
        self._room[rider.header] -= len(rider.body.encode()) + 1

    def _fits(self) -> bool:
        return self._in_order and min(self._room.values()) >= 0

    def _unload(self) -> list[Call]:
        """Take off all, in order, except for the rechecks, while these fit.

        A recheck asks Django about this very browser's session too, whose new key (after a change
        of the password) is on its way with this response: it is better late than early.
        """
        riders = self._riders
        self._empty()
        for rider in riders:
            if isinstance(rider.call, Recheck):
                self._add(rider)
        if self._fits():
            riders = [rider for rider in riders if not isinstance(rider.call, Recheck)]
        else:
            self._empty()
        return self._in_said_order(riders)

    @staticmethod
    def _in_said_order(riders: Sequence[_Rider]) -> list[Call]:
        return sorted((rider.call for rider in riders), key=lambda call: call.said)


_current: ContextVar[Ride | None] = ContextVar("gatepost.riding", default=None)


@contextmanager
def offered() -> Iterator[Ride]:
    """Let what is said in this context ride."""
    ride = Ride()
    token = _current.set(ride)
    try:
        yield ride
    finally:
        _current.reset(token)


_answering: ContextVar[bool] = ContextVar("gatepost.answering", default=False)


@contextmanager
def answering() -> Iterator[None]:
    """Let nothing ride in this context: the gateway itself asks, and reads the answer alone.

    Nor does it have to ask again because of its own question, which would not end where a
    middleware saves the user at each request.
    """
    token = _answering.set(True)
    try:
        yield
    finally:
        _answering.reset(token)


def is_answering() -> bool:
    """Return whether the request of the moment is a question of the gateway."""
    return _answering.get()


def take(calls: Sequence[Call], *, awaited: bool = False) -> list[Call]:
    """Offer calls to the request of the moment; return those that have to be made now."""
    ride = _current.get()
    return list(calls) if ride is None else ride.take(calls, awaited=awaited)


def before(call: Call) -> list[Call]:
    """Return what rides, and has to be made before a call that does not."""
    ride = _current.get()
    return [] if ride is None else ride.before(call)


def encoded(text: str) -> str:
    """Return JSON as a header's value."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")
