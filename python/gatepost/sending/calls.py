"""What Django has the gateway do: a publication, a revocation, or a recheck.

``publishing`` and ``signals`` make them, ``commit`` holds them back, the backends pass them on.
A frame is kept as the JSON text that browsers get. It is encoded where ``notify`` is called, so
that nothing changes it afterwards, and a mistake shows in the caller's own line.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

#: The close code that means "go and log in".
NOT_LOGGED_IN = 4001

#: The close code that tells a page to come back, with the session that it has by then.
COME_BACK = 1013

#: What a publication may say besides its frame.
OPTIONS = ("to", "id", "ttl", "key", "exclude", "socket", "event", "end", "text")


def encode(said: Any) -> str:
    """Return what JSON can say, as short as it can be: other alphabets are not escaped."""
    # NaN and Infinity are not JSON: the gateway would refuse them later, far from the mistake.
    text = json.dumps(
        said, cls=DjangoJSONEncoder, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(
            f"{half!r} is half of a character (a lone surrogate), which is no text: it came from"
            " text that was cut or decoded wrongly"
        ) from None
    return text


_numbers = count()


def _next_number() -> int:
    return next(_numbers)


@dataclass(frozen=True)
class Publication:
    """A frame, or a text, for an audience."""

    to: dict[str, Any]
    #: JSON text; None where a text is sent, or the end alone.
    frame: str | None
    #: Makes it idempotent: the gateway takes an id once in five minutes.
    id: str
    ttl: str | None = None
    key: str | None = None
    exclude: str | None = None
    socket: str | None = None
    #: Sent as it is, instead of a frame: HTML, say.
    text: str | None = None
    #: What it is called for clients of SSE.
    event: str | None = None
    #: Whether the streams that hear it end behind it; None for no.
    end: bool | None = None
    #: Counts the calls in the order in which the project made them.
    number: int = field(default_factory=_next_number, init=False, compare=False, repr=False)

    def json(self, names: Sequence[str] = OPTIONS) -> str:
        """Return the body that ``POST /v1/publish`` takes, with the named options."""
        said = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.frame is None:
            return encode(said)
        # The gateway passes on the frame's own bytes, so they are put in as they are.
        return f'{encode(said)[:-1]},"frame":{self.frame}}}'


@dataclass(frozen=True)
class Revocation:
    """The end of a session, or of all sessions of a user: their sockets are closed."""

    #: ``{"user": id}`` or ``{"session": digest}``; of subscriptions ``{"topic": name}``, perhaps
    #: with a user.
    who: dict[str, str]
    reason: str
    code: int = NOT_LOGGED_IN
    number: int = field(default_factory=_next_number, init=False, compare=False, repr=False)

    def json(self) -> str:
        """Return the body that ``POST /v1/revoke`` takes."""
        return encode({**self.who, "code": self.code, "reason": self.reason})


@dataclass(frozen=True)
class TopicRevocation(Revocation):
    """The end of subscriptions, and of the tokens that were issued before; the sockets stay."""

    #: For how many seconds a token that was issued before could be used.
    max_age: int = 0

    def json(self) -> str:
        """Return the body that ``POST /v1/revoke`` takes, with the time of this moment.

        It is read when the call is made: until a transaction commits, others issue tokens by what
        held before it.
        """
        return encode({**self.undated(), "at": time.time_ns() // 1_000_000})

    def undated(self) -> dict[str, Any]:
        """Return what it says besides its time."""
        return {**self.who, "max_age": self.max_age}


@dataclass(frozen=True)
class Recheck:
    """Users, a group, or a session, that may have changed: the gateway asks Django again, now."""

    #: ``{"user": id}``, ``{"users": [id, …]}``, ``{"group": name}`` or ``{"session": digest}``.
    who: dict[str, Any]
    number: int = field(default_factory=_next_number, init=False, compare=False, repr=False)

    def json(self) -> str:
        """Return the body that ``POST /v1/recheck`` takes."""
        return encode(self.who)


Call = Publication | Revocation | Recheck
