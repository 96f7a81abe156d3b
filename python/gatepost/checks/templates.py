"""The project's templates, as far as Gatepost's tags and ``{% cache %}`` are in them.

``topics`` and ``caching`` ask for the tags and for what stands around them. Only what has one of
these tags is compiled, and what is included with it; a template that does not compile says nothing
here, because it says so itself.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.loader_tags import IncludeNode
from django.templatetags.cache import CacheNode

import gatepost

_TAGS = re.compile(r"{%-?\s*(topics|gatepost|cache)\b")
_SUFFIXES = {".html", ".htm", ".txt", ".xml", ".js", ".djhtml"}
_LARGEST = 1024 * 1024

#: The module of the tags, which stands above the checks.
_LIBRARY = "gatepost.templatetags.gatepost"

#: So deep may templates include each other.
_DEEPEST = 10


@dataclass(frozen=True)
class Tag:
    """One of Gatepost's tags in a template."""

    name: str
    template: str
    node: Any
    #: The ``{% cache %}`` in which it stands, the innermost last.
    fragments: tuple[CacheNode, ...]


def tags() -> list[Tag]:
    """Return Gatepost's tags in the project's templates."""
    try:
        return [tag for engine, name, text in _texts() for tag in _of(engine, name, text)]
    except Exception:
        return []  # The settings of the templates are wrong, which Django says.


def _texts() -> Iterator[tuple[Any, str, str]]:
    ours = {Path(module.__file__ or "").parent for module in (django, gatepost)}
    for backend in engines.all():
        if not isinstance(backend, DjangoTemplates):
            continue
        for folder in dict.fromkeys(_folders(backend.engine.template_loaders)):
            if ours.isdisjoint(folder.parents):
                yield from ((backend.engine, *found) for found in _in(folder))


def _folders(loaders: Iterable[Any]) -> Iterator[Path]:
    for loader in loaders:
        if hasattr(loader, "loaders"):
            yield from _folders(loader.loaders)
        elif hasattr(loader, "get_dirs"):
            yield from map(Path, loader.get_dirs())


def _in(folder: Path) -> Iterator[tuple[str, str]]:
    for parent, _, files in os.walk(folder):
        for file in files:
            path = Path(parent, file)
            if path.suffix in _SUFFIXES and path.stat().st_size <= _LARGEST:
                text = path.read_text(encoding="utf-8", errors="replace")
                if _TAGS.search(text):
                    yield path.relative_to(folder).as_posix(), text


def _of(engine: Any, name: str, text: str) -> Iterator[Tag]:
    try:
        compiled = engine.from_string(text)
    except Exception:
        return
    yield from _Walk(engine, name).tags(compiled.nodelist, ())


@dataclass(frozen=True)
class _Walk:
    """Goes through the nodes of a template."""

    engine: Any
    template: str

    def tags(
        self, nodes: Iterable[Any], fragments: tuple[CacheNode, ...], depth: int = 0
    ) -> Iterator[Tag]:
        for node in nodes:
            inside = (*fragments, node) if isinstance(node, CacheNode) else fragments
            function: Any = getattr(node, "func", None)
            if getattr(function, "__module__", None) == _LIBRARY:
                yield Tag(function.__name__, self.template, node, fragments)
            for attribute in getattr(node, "child_nodelists", ()):
                yield from self.tags(getattr(node, attribute, None) or (), inside, depth)
            # What is included without a fragment around it is looked at by itself.
            if inside and depth < _DEEPEST:
                yield from self.tags(self._included(node), inside, depth + 1)

    def _included(self, node: Any) -> Iterable[Any]:
        named = getattr(getattr(node, "template", None), "var", None)
        if not isinstance(node, IncludeNode) or not isinstance(named, str):
            return ()
        try:
            nodes: Iterable[Any] = self.engine.get_template(named).nodelist
        except Exception:
            return ()
        return nodes
