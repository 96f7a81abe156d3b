"""``outbox``: what a test's code has notified, revoked and rechecked.

In Django's test environment the locmem backend keeps all calls; this shows those of the test that
runs. A TestCase never commits, so what only the test's own transaction holds back counts as sent as
soon as the test looks. What the project's code rolled back is gone, and what waits for its own
``atomic()`` still waits.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload

from django.db import connections
from django.test import override_settings

from gatepost import backends, conf, environment
from gatepost.backends import locmem
from gatepost.sending import commit
from gatepost.sending.calls import Publication, Recheck, Revocation
from gatepost.sending.targets import audience


@dataclass(frozen=True)
class Sent:
    """One frame that was notified."""

    #: Its target, as the gateway's API names it: ``{"user": "42"}``.
    target: dict[str, Any]
    #: The very text that browsers get: JSON, or what ``text=`` gave; empty for an end alone.
    text: str
    id: str
    ttl: str | None = None
    key: str | None = None
    exclude: str | None = None
    socket: str | None = None
    event: str | None = None
    end: bool = False
    #: Whether the text is a frame, and not what ``text=`` gave.
    has_frame: bool = True

    @property
    def frame(self) -> Any:
        """Return the frame as the browser's JSON.parse() reads it; None where there is none."""
        return json.loads(self.text) if self.has_frame else None

    def addresses(self, target: Any) -> bool:
        """Return whether it addresses a user (a group, a session, …), or all of several users."""
        wanted = audience(target)
        if wanted is None:
            return False
        users = _users(wanted)
        return users <= _users(self.target) if users else self.target == wanted


def _users(to: dict[str, Any]) -> set[str]:
    return {*to.get("users", []), *([to["user"]] if "user" in to else [])}


class Outbox(Sequence[Sent]):
    """The frames that were notified, oldest first."""

    @overload
    def __getitem__(self, index: int) -> Sent: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sent]: ...
    def __getitem__(self, index: int | slice) -> Sent | list[Sent]:
        """Return one frame, or several."""
        return self._sent()[index]

    def __len__(self) -> int:
        """Return how many frames there are."""
        return len(self._sent())

    def __repr__(self) -> str:
        return f"<Outbox {self._sent()!r}>"

    def to(self, target: Any) -> list[Sent]:
        """Return the frames that address a target of ``notify``."""
        return [one for one in self._sent() if one.addresses(target)]

    @property
    def revocations(self) -> list[Revocation]:
        """Return the revocations, oldest first: whose sockets were closed."""
        return [call for call in _calls() if isinstance(call, Revocation)]

    @property
    def rechecks(self) -> list[Recheck]:
        """Return the rechecks, oldest first: who was to be asked about again."""
        return [call for call in _calls() if isinstance(call, Recheck)]

    def clear(self) -> None:
        """Forget everything that was sent so far."""
        _settle()
        locmem.clear()

    def _sent(self) -> list[Sent]:
        return [_sent(call) for call in _calls() if isinstance(call, Publication)]


#: The outbox: one for the whole process, so that importing its name is safe.
outbox = Outbox()


@contextmanager
def recorded() -> Iterator[Outbox]:
    """Let everything that is notified inside go to ``outbox``, which is empty at first."""
    changes: dict[str, Any] = {"BACKEND": backends.LOCMEM}
    if not conf.find_secret():
        changes["SECRET"] = environment.SECRET
    with override_settings(GATEPOST={**conf.declared(), **changes}):
        locmem.clear()
        try:
            yield outbox
        finally:
            locmem.clear()


def is_recording() -> bool:
    """Return whether what is notified now goes to ``outbox``."""
    return isinstance(backends.current(), locmem.Backend)


def held_back() -> Iterator[str]:
    """Yield, in sentences, what is not in the outbox because it waits for a commit."""
    waiting = len(commit.held_back())
    if waiting:
        yield f"Calls that wait for the end of a transaction.atomic() around the test: {waiting}."
    for connection in connections.all(initialized_only=True):
        callbacks = [entry[1] for entry in connection.run_on_commit]
        others = sum(not commit.is_call(callback) for callback in callbacks)
        if others and _is_of_a_test(connection):
            yield (
                f"A TestCase never commits, so the project's own transaction.on_commit() ({others}"
                " here) runs only where the test wraps it in"
                " captureOnCommitCallbacks(execute=True) (pytest-django:"
                " django_capture_on_commit_callbacks)."
            )


def _calls() -> list[Any]:
    _settle()
    return locmem.calls()


def _settle() -> None:
    commit.make_held_back(_is_of_a_test)


def _is_of_a_test(connection: Any) -> bool:
    """Return whether the only transactions that are open are those of the TestCase itself."""
    blocks = connection.atomic_blocks
    return bool(blocks) and all(getattr(block, "_from_testcase", False) for block in blocks)


def _sent(call: Publication) -> Sent:
    options = (call.ttl, call.key, call.exclude, call.socket, call.event, bool(call.end))
    text = call.frame if call.frame is not None else call.text
    return Sent(call.to, text or "", call.id, *options, has_frame=call.frame is not None)
