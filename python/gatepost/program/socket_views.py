"""The project's views of ``@gatepost.socket``, as routes of gateway.toml.

``draft`` writes them, a check compares them with what is there. A URL's converter is a segment in
braces, whatever it takes; what is no such path has no route.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import PathConverter
from django.urls.resolvers import LocalePrefixPattern, RoutePattern

from gatepost.marks import options_in

_NAMED = re.compile(r"<(?:[^:>]+:)?([A-Za-z0-9_]+)>")
_GROUP = re.compile(r"\(\?P<([A-Za-z0-9_]+)>[^()]*\)")
_BRACED = re.compile(r"\{[A-Za-z0-9_]+\}")


@dataclass(frozen=True)
class SocketView:
    """One of the views."""

    #: As gateway.toml has it; None where no route can be it.
    path: str | None
    anonymous: bool
    #: Where Django has it, for people.
    pattern: str


def find() -> list[SocketView]:
    """Return the project's views, in the order of its URLs."""
    return list(_below(get_resolver().url_patterns, "/"))


def bare(path: str) -> str:
    """Return a route's path with its braces called alike: names do not matter."""
    return _BRACED.sub("{}", path)


def _below(patterns: list[Any], start: str | None) -> Iterator[SocketView]:
    for one in patterns:
        part = _part(one.pattern)
        path = None if start is None or part is None else f"{start}{part}"
        if isinstance(one, URLResolver):
            yield from _below(one.url_patterns, path)
        elif isinstance(one, URLPattern) and (options := options_in(one.callback)) is not None:
            fits = path is not None and _is_route(path)
            yield SocketView(path if fits else None, options.anonymous, str(one.pattern))


def _part(pattern: Any) -> str | None:
    """Return a pattern with braces; None where it is more than segments."""
    if isinstance(pattern, LocalePrefixPattern):
        return None
    if not isinstance(pattern, RoutePattern):
        plain = _GROUP.sub(r"{\1}", str(pattern)).removeprefix("^").removesuffix("$")
        return plain.replace("\\-", "-").replace("\\.", ".")
    if any(isinstance(one, PathConverter) for one in pattern.converters.values()):
        return None
    return _NAMED.sub(r"{\1}", str(pattern))


def _is_route(path: str) -> bool:
    segments = path.split("/")
    plain = all(_BRACED.fullmatch(one) or not set(one) & set("{}<>*^$[]()|") for one in segments)
    return plain and "//" not in path and not _BRACED.fullmatch(segments[1])
