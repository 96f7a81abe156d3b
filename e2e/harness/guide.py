"""Reads a guide of docs/: its blocks in order, each with what a reader is to do with it.

An HTML comment directly before a fence says so, and a test fails on a fence without one:

`<!-- write: PATH -->`  the block is the file
`<!-- append: PATH -->` the block comes at the file's end
`<!-- patch -->`        the block is a diff of the project
`<!-- run -->`          shell commands that succeed
`<!-- shell -->`        Python for `manage.py shell`
`<!-- start -->`        a terminal for each line, whose program goes on
`<!-- stop -->`         Ctrl-C in all of these
`<!-- browser -->`      JavaScript for the page that is open
`<!-- units -->`        lines with `systemctl`, for the units that the guide wrote
`<!-- output -->`       a `text` block: these lines are seen, `…` being any text

Every guide but the quick start begins where that one ends. A `text` block without a comment is an
illustration.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .site import ROOT

DOCS = ROOT / "docs"

#: With the block, without one, and with a `text` block.
WITH_BLOCK = {"write", "append", "patch", "run", "shell", "start", "browser", "units"}
ALONE = {"stop"}
ABOUT_TEXT = {"output"}

_COMMENT = re.compile(r"<!-- (?P<verb>[a-z]+)(?:: (?P<argument>.+?))? -->")
_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\S*)$")


@dataclass(frozen=True)
class Step:
    """One thing to do; without a block, `text` is empty."""

    verb: str
    argument: str
    language: str
    text: str
    #: `quick-start.md:12`, where it is.
    place: str


class GuideError(Exception):
    """A guide that cannot be followed; says where and why."""


def read(path: Path):
    """The steps of a guide, in order."""
    return list(_steps(path.name, path.read_text(encoding="utf-8").splitlines()))


def _steps(name, lines):
    pending = None
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        place = f"{name}:{number}"
        if found := _COMMENT.fullmatch(line.strip()):
            if pending:
                raise GuideError(f"{place}: {pending[0]!r} has no block")
            pending = found["verb"], found["argument"] or ""
            if pending[0] in ALONE:
                yield Step(*pending, "", "", place)
                pending = None
        elif found := _FENCE.match(line):
            text = "".join(f"{line}\n" for line in _until(numbered, found["fence"], place))
            step = _block(pending, found["language"], text, place)
            pending = None
            if step:
                yield step
        elif pending:
            raise GuideError(f"{place}: {pending[0]!r} must stand directly before its block")


def _until(numbered, fence, place):
    for _, line in numbered:
        if line == fence:
            return
        yield line
    raise GuideError(f"{place}: this block has no end")


def _block(pending, language, text, place):
    known = ABOUT_TEXT if language == "text" else WITH_BLOCK
    if pending is None:
        if language == "text":
            return None
        raise GuideError(f"{place}: nothing says what to do with this block")
    if pending[0] not in known:
        raise GuideError(f"{place}: {pending[0]!r} is nothing to do with a {language!r} block")
    return Step(*pending, language, text, place)
