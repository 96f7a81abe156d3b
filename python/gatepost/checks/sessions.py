"""Whether the gateway can learn who a session is, and when it ends."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from gatepost.checks.declared import value
from gatepost.checks.middleware import position

_ENGINES = "django.contrib.sessions.backends."
_LOCAL_CACHES = (
    "django.core.cache.backends.locmem.LocMemCache",
    "django.core.cache.backends.dummy.DummyCache",
)
_LOCAL_LAYER = "channels.layers.InMemoryChannelLayer"
_NEEDED = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def check_sessions(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E003, W005 and W006: the session engine."""
    return [*_app(), *_signed_cookies(), *_local_cache(), *_local_layer()]


def _engine() -> str:
    return str(settings.SESSION_ENGINE).removeprefix(_ENGINES)


def _app() -> Iterator[CheckMessage]:
    if _engine() not in ("db", "cached_db") or apps.is_installed("django.contrib.sessions"):
        return
    yield Error(
        "Sessions are kept in the database, but django.contrib.sessions is not installed.",
        hint="Add 'django.contrib.sessions' to INSTALLED_APPS and run `manage.py migrate`.",
        id="gatepost.E003",
    )


def _signed_cookies() -> Iterator[CheckMessage]:
    if _engine() != "signed_cookies":
        return
    yield Warning(
        "Sessions are kept in the browser's cookie: a copy of it is good until it expires, also"
        " after a logout, and re-checking a session cannot see that it ended.",
        hint=(
            "Use another SESSION_ENGINE, such as 'django.contrib.sessions.backends.cached_db'."
            " (Logging out closes the sockets of that browser all the same.)"
        ),
        id="gatepost.W005",
    )


def _local_cache() -> Iterator[CheckMessage]:
    if _engine() not in ("cache", "cached_db"):
        return
    alias = settings.SESSION_CACHE_ALIAS
    if settings.CACHES.get(alias, {}).get("BACKEND") not in _LOCAL_CACHES:
        return
    yield Warning(
        f"Sessions are kept in the cache {alias!r}, which every process has for itself: what one"
        " worker knows of a login or a logout, another does not.",
        hint=(
            "Use a cache that processes share (Redis, Memcached, the database), or SESSION_ENGINE"
            " = 'django.contrib.sessions.backends.db'."
        ),
        id="gatepost.W006",
    )


def _local_layer() -> Iterator[CheckMessage]:
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    for alias, layer in layers.items():
        if layer.get("BACKEND") == _LOCAL_LAYER:
            yield Warning(
                f"The channel layer {alias!r} is kept in memory: what one process sends, no other"
                " gets.",
                hint=(
                    "Set its BACKEND to 'gatepost.channels.GatepostChannelLayer', or to one that"
                    " processes share."
                ),
                id="gatepost.W006",
            )


def check_resolver(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E002, W007 and W008: what goes with GATEPOST["USER_RESOLVER"] = "request"."""
    if value("USER_RESOLVER") != "request":
        return []
    return [*_middlewares(), *_sliding(), *_rotation()]


def _middlewares() -> Iterator[CheckMessage]:
    for path in _NEEDED:
        if position(path) is None:
            yield Error(
                "GATEPOST['USER_RESOLVER'] is 'request', but nothing sets request.user:"
                f" {path.rpartition('.')[2]} is missing.",
                hint=f"Add {path!r} to MIDDLEWARE, or set USER_RESOLVER to 'session'.",
                id="gatepost.E002",
            )


def _sliding() -> Iterator[CheckMessage]:
    if not settings.SESSION_SAVE_EVERY_REQUEST:
        return
    yield Warning(
        "With SESSION_SAVE_EVERY_REQUEST and GATEPOST['USER_RESOLVER'] = 'request', every question"
        " of the gateway may extend the session: an idle one would never end.",
        hint="Set USER_RESOLVER to 'session', which only reads.",
        id="gatepost.W007",
    )


def _rotation() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_FALLBACKS:
        return
    yield Warning(
        "With SECRET_KEY_FALLBACKS and GATEPOST['USER_RESOLVER'] = 'request', a question of the"
        " gateway may change the session's key, and the browser would be logged out.",
        hint="Set USER_RESOLVER to 'session', which only reads.",
        id="gatepost.W008",
    )
