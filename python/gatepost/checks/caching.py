"""Whether a cache keeps pages for longer than the gateway's history reaches back.

A page that is kept keeps the position of its data. What was published since is in the history for
so long; later the page is told to fetch its data again, each time that it is opened.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.middleware.cache import CacheMiddleware
from django.template import Context
from django.urls import URLPattern, get_resolver

from gatepost.checks import templates
from gatepost.checks.middleware import position
from gatepost.program import gateway_toml

_UPDATE = "django.middleware.cache.UpdateCacheMiddleware"


def check_cache_times(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W043: pages with ``{% gatepost %}`` are kept for longer than history_age."""
    tags = [tag for tag in templates.tags() if tag.name == "gatepost"]
    if not tags:
        return []
    age = gateway_toml.history_age()
    found = dict.fromkeys([*_site(age), *_views(age), *_fragments(tags, age)])
    return [
        Warning(
            f"{what}, and the gateway's history has the last {age:g} s: an older page is told that"
            " something is missing each time that it is opened.",
            hint=f"Keep it for at most {age:g} s, or let history_age below [delivery] in"
            " gateway.toml be as long.",
            id="gatepost.W043",
        )
        for what in found
    ]


def _site(age: float) -> Iterator[str]:
    seconds = settings.CACHE_MIDDLEWARE_SECONDS
    if position(_UPDATE) is not None and _is_longer(seconds, age):
        yield f"Pages are kept for {_words(seconds)} (CACHE_MIDDLEWARE_SECONDS)"


def _views(age: float) -> Iterator[str]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        patterns = list(_patterns(get_resolver().url_patterns))
    except Exception:
        return  # Django says it.
    for pattern in patterns:
        for seconds in _kept(pattern.callback):
            if _is_longer(seconds, age):
                name = getattr(pattern.callback, "__qualname__", repr(pattern.callback))
                yield f"cache_page() keeps {name} for {_words(seconds)}"


def _fragments(tags: list[templates.Tag], age: float) -> Iterator[str]:
    for tag in tags:
        for fragment in tag.fragments:
            try:
                seconds = fragment.expire_time_var.resolve(Context())
                longer = _is_longer(None if seconds is None else float(seconds), age)
            except Exception:  # noqa: S112 - a variable, which only a request has
                continue
            if longer:
                yield f"{tag.template}: {{% cache %}} keeps {{% gatepost %}} for {_words(seconds)}"


def _is_longer(seconds: float | None, age: float) -> bool:
    return seconds is None or seconds > age


def _words(seconds: Any) -> str:
    return "ever" if seconds is None else f"{seconds} s"


def _patterns(several: Any) -> Iterator[URLPattern]:
    for one in several:
        if isinstance(one, URLPattern):
            yield one
        else:
            yield from _patterns(one.url_patterns)


def _kept(view: Any) -> Iterator[float | None]:
    """Yield for how long decorators of a view keep its pages: their middlewares are in closures."""
    waiting, seen = [view], set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        waiting += [wrapped] if (wrapped := getattr(function, "__wrapped__", None)) else []
        for cell in getattr(function, "__closure__", None) or ():
            try:
                held = cell.cell_contents
            except ValueError:
                continue
            if isinstance(held, CacheMiddleware):
                timeout = getattr(held, "page_timeout", None)
                yield held.cache_timeout if timeout is None else timeout
            elif callable(held):
                waiting.append(held)
