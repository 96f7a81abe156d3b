"""A frame or a text as browsers get it, or why the gateway would not take it.

``publishing`` and the channel layer call :func:`frame`, so that what is wrong with one is raised at
the line that made it. How large it may be depends on ``delivery.outbox_size`` in gateway.toml,
which Django may not have at hand: the setting ``FRAME_SIZE`` repeats it.
"""

import re
from typing import Any

from django.utils.functional import Promise

from gatepost import conf
from gatepost.sending.calls import encode

#: As deep as the gateway takes it.
DEEPEST = 128

#: What the gateway says itself has this member, so no frame may.
RESERVED = "gatepost"

#: The events of SSE that are the gateway's own.
RESERVED_EVENTS = ("gatepost", "close")

#: How many bytes the name of an event may have.
LONGEST_EVENT = 100

_TOO_DEEP = f"the frame is nested deeper than the {DEEPEST} levels that the gateway takes"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")


def frame(said: Any) -> str:
    """Return what JSON can say, as the gateway takes it; raise TypeError or ValueError."""
    try:
        encoded = encode(said)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    require_fitting(encoded)
    require_not_reserved(said)
    return encoded


def text(said: Any) -> str:
    """Return a text as the gateway takes it instead of a frame; raise TypeError or ValueError."""
    if isinstance(said, Promise):
        said = str(said)
    if not isinstance(said, str):
        raise TypeError(f"text is a str (such as a rendered template), not {type(said).__name__}")
    encode(said)  # Refuses what is no text.
    _require_size(said)
    return str(said)


class Text:
    """What is sent as it is: ``Text("<progress value=0>", event="progress")``.

    ``event`` is what clients of SSE know it by.
    """

    def __init__(self, said: str, event: str | None = None) -> None:
        self.text = text(said)
        self.event = event_name(event) if event is not None else None

    def __repr__(self) -> str:
        return f"Text({self.text!r}, event={self.event!r})"


def event_name(said: Any) -> str:
    """Return the name of an event of SSE; raise TypeError or ValueError."""
    if not isinstance(said, str):
        raise TypeError(f"event is a name, not {type(said).__name__}")
    one_word = said.isprintable() and said == said.strip()
    if not one_word or not 0 < len(said.encode(errors="replace")) <= LONGEST_EVENT:
        raise ValueError(f"an event's name has 1 to {LONGEST_EVENT} bytes on one line: {said!r}")
    if said in RESERVED_EVENTS:
        hint = ": end=True ends a stream" if said == "close" else ""
        raise ValueError(f"the event {said!r} is the gateway's own{hint}")
    return str(said)


def require_not_reserved(said: Any) -> None:
    """Raise ValueError where a frame could be taken for what the gateway says itself."""
    if isinstance(said, dict) and RESERVED in said:
        raise ValueError(
            f"a frame has no member {RESERVED!r}: by that a page knows what the gateway says itself"
        )


def require_fitting(text: str) -> None:
    """Raise ValueError where a JSON text is larger or deeper than a frame may be."""
    _require_size(text)
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise ValueError(_TOO_DEEP)


def _require_size(text: str) -> None:
    size, most = len(text.encode()), int(conf.value("FRAME_SIZE"))
    if size > most:
        raise ValueError(
            f"the frame has {size} bytes, and {most} are allowed: send less, and let the page fetch"
            " the rest. (Where delivery.outbox_size in gateway.toml says more, say it in"
            " GATEPOST['FRAME_SIZE'], too.)"
        )


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
