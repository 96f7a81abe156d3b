"""Where a project's own WebSockets are: the routes of Channels, as path prefixes.

``draft`` writes them, ``rungateway`` looks whether they lead anywhere. A routing is wrapped in
middlewares that each keep it under a name of their own, so all that they hold is looked through.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

#: How many wrappers around a routing are looked through.
_DEEPEST = 12

#: Where an ASGI server of its own listens in the guides.
OWN_PORT = 8001

_SEGMENTS = re.compile(r"\^?((?:[A-Za-z0-9_.~-]+/)*)(?:([A-Za-z0-9_.~-]+)\$?$)?")


def prefixes() -> list[str]:
    """Return the paths below which consumers answer; none where there is no Channels."""
    named = getattr(settings, "ASGI_APPLICATION", None)
    if not named or not _has("channels", "daphne"):
        return []
    found: list[str] = []
    # Whatever is wrong with the project's modules, Django will say it.
    with contextlib.suppress(Exception):
        found = list(_of(import_string(named), "/"))
    return sorted(set(found))


def is_served_by_runserver() -> bool:
    """Return whether ``runserver`` is Channels' own, which answers WebSockets too."""
    if _has("daphne"):
        return True
    if not _has("channels"):
        return False
    channels = import_string("channels.__version__")
    return int(str(channels).partition(".")[0]) < 4


def is_pushed_by_gatepost() -> bool:
    """Return whether what consumers got is the gateway's by now."""
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    return any("gatepost" in str(layer.get("BACKEND")) for layer in layers.values())


def _has(*names: str) -> bool:
    return any(str(app).partition(".")[0] in names for app in settings.INSTALLED_APPS)


def _of(application: Any, start: str) -> Iterator[str]:
    mapping = getattr(application, "application_mapping", None)
    if isinstance(mapping, dict):
        application = mapping.get("websocket")
    for route in _routes(application, _DEEPEST):
        below = _literal(str(route.pattern))
        path = f"{start}{below}"
        inner = list(_of(route.callback, path)) if _routes(route.callback, _DEEPEST) else []
        yield from inner or ([path] if path != "/" else [])


def _routes(application: Any, depth: int) -> list[Any]:
    """Return the routes of the first router below some wrappers."""
    routes = getattr(application, "routes", None)
    if isinstance(routes, list | tuple):
        return list(routes)
    if depth and not isinstance(application, type) and hasattr(application, "__dict__"):
        for held in vars(application).values():
            if callable(held) and (found := _routes(held, depth - 1)):
                return found
    return []


def _literal(route: str) -> str:
    """Return the segments of a route before anything that varies."""
    found = _SEGMENTS.match(route.replace("\\", ""))
    if found is None:
        return ""
    return f"{found[1]}{found[2]}/" if found[2] else found[1]
