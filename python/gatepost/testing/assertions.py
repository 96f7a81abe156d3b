"""``assertNotified`` and its siblings: they say what was sent instead.

Plain functions, which ``GatepostTestMixin`` has as methods. An expected frame is encoded first, as
``notify`` encodes it, so that dates, UUIDs and lazy texts compare as the browser would see them.
"""

import json
from dataclasses import dataclass
from difflib import SequenceMatcher, ndiff
from typing import Any, Final

from gatepost import conf
from gatepost.sending.calls import Revocation, encode
from gatepost.sending.targets import audience
from gatepost.testing.outbox import Sent, held_back, is_recording, outbox

#: How many frames, and how many users of one, a message shows.
MOST_SHOWN = 10


class _Any:
    def __repr__(self) -> str:
        return "any"


_ANY: Final = _Any()


@dataclass(frozen=True)
class _Wanted:
    """What is looked for in what was sent."""

    frame: Any = _ANY
    containing: dict[str, Any] | None = None
    text: str | None = None

    def fits(self, sent: Sent) -> bool:
        if self.text is not None and (sent.has_frame or sent.text != self.text):
            return False
        if self.frame is not _ANY and not (sent.has_frame and sent.frame == _as_sent(self.frame)):
            return False
        if self.containing is None:
            return True
        wanted = _as_sent(self.containing)
        if not isinstance(sent.frame, dict):
            return False
        return all(name in sent.frame and sent.frame[name] == wanted[name] for name in wanted)

    def __str__(self) -> str:
        if self.frame is not _ANY:
            return f" with {encode(self.frame)}"
        if self.text is not None:
            return f" with the text {self.text!r}"
        has = self.containing
        return f" with a frame that has {encode(has)}" if has is not None else ""


def assertNotified(  # noqa: N802, PLR0913 - named as unittest's are; options, all by keyword
    target: Any,
    frame: Any = _ANY,
    *,
    containing: dict[str, Any] | None = None,
    text: str | None = None,
    times: int | None = None,
) -> Sent:
    """Fail unless a target was notified; return the last such frame as it was sent.

    ``frame`` is the whole frame, ``containing`` some of its members, ``text`` what was sent by
    ``text=``; without these, any will do. ``times`` says how often; without it, at least once.
    """
    if times == 0:
        raise ValueError("times is at least 1: where nothing may be sent, assertNotNotified")
    to, wanted = _recorded(target), _Wanted(frame, containing, text)
    found = [one for one in outbox.to(target) if wanted.fits(one)]
    if found and times in (None, len(found)):
        return found[-1]
    often = f" {_times(len(found))}, not {_times(times)}" if found and times else ""
    raise AssertionError(
        f"{_name(to)} was {'' if found else 'not '}notified{often}{wanted}."
        f"\n{_account(target, wanted)}"
    )


def assertNotNotified(  # noqa: N802
    target: Any = _ANY, frame: Any = _ANY, *, containing: dict[str, Any] | None = None
) -> None:
    """Fail if a target (without one: anybody) was notified."""
    to, wanted = _recorded(target), _Wanted(frame, containing)
    sent = list(outbox) if target is _ANY else outbox.to(target)
    found = [one for one in sent if wanted.fits(one)]
    if found:
        who = "somebody" if to is None else _name(to)
        raise AssertionError(
            f"{who} was notified{wanted}, but should not have been.\n{_list(found)}"
        )


def assertRevoked(  # noqa: N802
    target: Any, *, user: Any = _ANY, code: int | None = None
) -> Revocation:
    """Fail unless the sockets of a user or a session were closed; return the last such call.

    With a ``Topic`` it is whether subscriptions to it were ended: those of ``user``, or without it
    those of all.
    """
    to = {**_recorded(target), **({} if user is _ANY else _recorded(user))}
    for_them = [call for call in outbox.revocations if call.who == to]
    found = [call for call in for_them if code in (None, call.code)]
    if found:
        return found[-1]
    with_code = "" if code is None else f" with code {code}"
    others = [_revoked(one) for one in outbox.revocations]
    said = "\n".join(f"  {number}. {one}" for number, one in enumerate(others, 1))
    what = "subscriptions to" if "topic" in to else "sockets of"
    raise AssertionError(
        f"no {what} {_name(to)} were {'ended' if 'topic' in to else 'closed'}{with_code}.\n"
        + (f"Closed were those of\n{said}" if others else "Nobody's were.")
        + _hints()
    )


def _recorded(target: Any) -> Any:
    if not is_recording():
        raise AssertionError(
            f"nothing is recorded, because GATEPOST['BACKEND'] is {conf.value('BACKEND')!r} and"
            " this test chose it (live_gateway does), or Django's test environment is not set up."
            " Use GatepostTestMixin or the pytest fixture gatepost_outbox."
        )
    if target is _ANY:
        return None
    to = audience(target)
    if to is None:
        raise ValueError(f"{target!r} addresses nobody: it is not logged in, not saved, or empty")
    return to


def _as_sent(frame: Any) -> Any:
    return json.loads(encode(frame))


# What the messages say


def _name(to: Any) -> str:
    if to is None:
        return "nobody"
    if "topic" in to:
        whose = f" of user {to['user']}" if "user" in to else ""
        return f"topic {to['topic']}{whose}"
    ((kind, value),) = to.items()
    if kind == "everyone":
        return "everyone"
    if kind == "users":
        more = len(value) - MOST_SHOWN
        shown = ", ".join(value[:MOST_SHOWN])
        return f"users {shown}{f' and {more} more' if more > 0 else ''}"
    return f"{kind} {value[:8]}…" if kind == "session" else f"{kind} {value}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _revoked(one: Revocation) -> str:
    said = f", {one.code} {one.reason!r}" if "topic" not in one.who else ""
    return f"{_name(one.who)}{said}"


def _account(target: Any, wanted: _Wanted) -> str:
    theirs = [one for one in outbox.to(target) if one.has_frame]
    if theirs and wanted.frame is not _ANY and not any(map(wanted.fits, theirs)):
        said = _difference(theirs, wanted.frame)
        return f"The nearest frame they were sent differs:\n{said}{_hints()}"
    return f"{_list(list(outbox))}{_hints()}"


def _difference(theirs: list[Sent], frame: Any) -> str:
    expected = _pretty(_as_sent(frame))
    nearest = max(
        (_pretty(one.frame) for one in theirs),
        key=lambda text: SequenceMatcher(None, expected, text).ratio(),
    )
    lines = ndiff(expected.splitlines(), nearest.splitlines())
    return "\n".join(f"  {line.rstrip()}" for line in lines if not line.startswith("?"))


def _pretty(frame: Any) -> str:
    return json.dumps(frame, indent=2, sort_keys=True, ensure_ascii=False)


def _list(sent: list[Sent]) -> str:
    if not sent:
        return "Nothing was sent to anybody."
    shown = [
        f"  {number}. to {_name(one.target)}: {one.text}"
        for number, one in enumerate(sent[-MOST_SHOWN:], max(len(sent) - MOST_SHOWN, 0) + 1)
    ]
    heading = f"Sent were {len(sent)} frames" if len(sent) > 1 else "Sent was"
    if len(sent) > MOST_SHOWN:
        heading += f", the last {MOST_SHOWN} of which are"
    return "\n".join([f"{heading}:", *shown])


def _hints() -> str:
    return "".join(f"\n{sentence}" for sentence in held_back())
