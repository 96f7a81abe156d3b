"""``listen``: what a view answers that says who may listen to what.

``socket_views`` makes an auth answer of it. It is a response, since the view's own decorators
expect one; but what it says leaves only through ``@gatepost.socket``.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.utils import timezone

from gatepost.answering.answers import LARGEST_ANSWER
from gatepost.sending.calls import encode
from gatepost.sending.frames import Text, frame
from gatepost.sending.topics import topic_of

#: Seconds from now that are rather a moment, given as a number.
_TOO_LONG = 10 * 365 * 86_400

#: The part of an answer that is kept for the identity: groups, above all.
_FOR_IDENTITY = 8 * 1024

_BARE = (
    "This view says who may listen, but it was not asked as the gateway asks: decorate it with"
    " @gatepost.socket.\n"
)


class Listen(HttpResponse):
    """What :func:`listen` returns; by itself it says nothing but what is missing."""

    status_code = 501

    def __init__(self, topics: list[str], first: list[Any] | None, expires: int | None) -> None:
        super().__init__(_BARE, content_type="text/plain; charset=utf-8")
        #: The names of the topics.
        self.topics = topics
        #: The first frames; None for those of ``INITIAL_FRAMES``.
        self.frames = first
        #: When the subscriptions end, as unix seconds.
        self.expires = expires


def listen(
    *topics: Any,
    frames: Iterable[Any] | None = None,
    expires: datetime | timedelta | float | None = None,
) -> Listen:
    """Answer the gateway that the user of a request may listen to topics.

    ``frames`` is what a new connection gets first, instead of ``INITIAL_FRAMES``. At ``expires`` (a
    moment, or as long from now) the view is asked again, and the subscriptions end where it does
    not say so again.
    """
    names, first = topic_names(topics), _first(frames)
    size = len(encode([names, first]).encode())
    if size > LARGEST_ANSWER - _FOR_IDENTITY:
        raise ValueError(
            f"topics and first frames have {size} bytes, and {LARGEST_ANSWER - _FOR_IDENTITY} are"
            " allowed: let the page fetch what is large"
        )
    return Listen(names, first, moment(expires))


def topic_names(topics: Iterable[Any]) -> list[str]:
    """Return the names of topics, objects and free names, each once."""
    return list(dict.fromkeys(topic_of(one).name for one in topics))


def moment(expires: Any) -> int | None:
    """Return when something ends, as unix seconds; raise where that makes no sense."""
    if expires is None:
        return None
    if isinstance(expires, datetime):
        aware = timezone.make_aware(expires) if timezone.is_naive(expires) else expires
        return math.ceil(aware.timestamp())
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"expires takes a datetime, a timedelta or seconds, not {expires!r}")
    if not -_TOO_LONG < seconds < _TOO_LONG:
        raise ValueError(f"expires is {expires!r} seconds from now: give a datetime for a moment")
    return math.ceil(timezone.now().timestamp() + seconds)


def _first(given: Iterable[Any] | None) -> list[Any] | None:
    if given is None:
        return None
    if isinstance(given, str | bytes | dict):
        raise TypeError(f"frames takes a list of frames, not {type(given).__name__}")
    first = list(given)
    for one in first:
        if isinstance(one, Text):
            raise TypeError("a socket's first frames are JSON: Text(…) goes into stream(first=…)")
        frame(one)  # What is wrong with it is wrong here.
    return first
