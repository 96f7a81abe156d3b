"""A frame as browsers get it, or why the gateway would not take it.

``publishing`` and the channel layer call :func:`frame`, so that what is wrong with one is raised at
the line that made it. How large it may be depends on ``delivery.outbox_size`` in gateway.toml,
which Django may not have at hand: the setting ``FRAME_SIZE`` repeats it.
"""

import re
from typing import Any

from gatepost import conf
from gatepost.sending.calls import encode

#: As deep as the gateway takes it.
DEEPEST = 128

_TOO_DEEP = f"the frame is nested deeper than the {DEEPEST} levels that the gateway takes"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")


def frame(said: Any) -> str:
    """Return what JSON can say, as the gateway takes it; raise TypeError or ValueError."""
    try:
        text = encode(said)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    require_fitting(text)
    return text


def require_fitting(text: str) -> None:
    """Raise ValueError where a JSON text is larger or deeper than a frame may be."""
    size, most = len(text.encode()), int(conf.value("FRAME_SIZE"))
    if size > most:
        raise ValueError(
            f"the frame has {size} bytes, and {most} are allowed: send less, and let the page fetch"
            " the rest. (Where delivery.outbox_size in gateway.toml says more, say it in"
            " GATEPOST['FRAME_SIZE'], too.)"
        )
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise ValueError(_TOO_DEEP)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
