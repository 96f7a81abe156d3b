"""The data of sessions, read without writing anything.

``logins`` asks. Each store is a subclass of the project's own engine in which every writing method
does nothing. It is given what was read for many sessions at once, so that a hundred of them cost as
many queries as one.
"""

import math
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core import signing
from django.utils import timezone


class _ReadOnlyCache:
    """A cache that was read at once, and is never filled.

    A fill after a concurrent logout would bring the session back from the dead.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self.found: dict[str, Any] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        if self.found is None or key not in self.found:
            return self._cache.get(key, default)
        value = self.found[key]
        return default if value is None else value

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    async def aget(self, key: str, default: Any = None) -> Any:
        return await self._cache.aget(key, default)

    async def aset(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


class _ReadOnly:
    """Mixed in before an engine's SessionStore: reads as that does, and writes nothing."""

    #: The session's row, where one was read; its end may have passed.
    row: Any = None
    has_read_row = False
    session_key: str | None
    _cache: Any

    def __init__(self, key: str) -> None:
        super().__init__(key)  # type: ignore[call-arg]
        if hasattr(self, "_cache"):
            self._cache = _ReadOnlyCache(self._cache)

    def _get_session_from_db(self) -> Any:
        if not self.has_read_row:
            self.row = super()._get_session_from_db()  # type: ignore[misc]
            return self.row
        if self.row is None or self.row.expire_date <= timezone.now():
            self._session_key = None
            return None
        return self.row

    def _write_nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    save = create = delete = flush = cycle_key = clear_expired = _write_nothing

    async def _awrite_nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    asave = acreate = adelete = aflush = acycle_key = aclear_expired = _awrite_nothing


@cache
def _read_only(store: type) -> type:
    # The name is part of the salt with which Django signs a session's data.
    return type(store.__name__, (_ReadOnly, store), {"__qualname__": store.__qualname__})


def read_only(store: Any) -> Any:
    """Make a store that a request has already one that writes nothing; return it."""
    if not isinstance(store, _ReadOnly):
        kind: type = type(store)
        store.__class__ = _read_only(kind)
        if hasattr(store, "_cache"):
            store._cache = _ReadOnlyCache(store._cache)
    return store


def stores(keys: Sequence[str]) -> list[Any]:
    """Return a store for each session key, all read with as few queries as for one."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    made = [_read_only(store)(key) for key in keys]
    valid = [one for one in made if one.session_key]
    if valid and _reads_rows(store):
        _read_rows(valid)
    if valid and issubclass(store, CacheStore | CachedStore):
        _read_cache(valid)
    return made


def _reads_rows(store: type) -> bool:
    """Return whether an engine finds its rows as Django's own does."""
    own: Any = getattr(store, "_get_session_from_db", None)
    return issubclass(store, DatabaseStore) and own is DatabaseStore._get_session_from_db


def _read_rows(made: list[Any]) -> None:
    keys = {one.session_key for one in made}
    rows = {row.session_key: row for row in made[0].model.objects.filter(session_key__in=keys)}
    for one in made:
        one.row = rows.get(one.session_key)
        one.has_read_row = True


def _read_cache(made: list[Any]) -> None:
    keys = [one.cache_key for one in made]
    found = made[0]._cache._cache.get_many(keys)
    for one in made:
        one._cache.found = {key: found.get(key) for key in keys}


def ends_in_database(store: Any) -> bool:
    """Return whether a session has a row, so that one without is over."""
    return isinstance(store, DatabaseStore)


def expiry(store: Any, key: str) -> int | None:
    """Return when a session truly ends by itself, as unix seconds, where the engine knows.

    Not ``get_expiry_date()``: for an expiry in seconds that is "now and as long again" at every
    call. Rounded up: in its last second it has not ended.
    """
    if isinstance(store, SignedCookieStore):
        stamp = key.rsplit(":", 2)[1]
        return signing.b62_decode(stamp) + int(settings.SESSION_COOKIE_AGE)
    if not isinstance(store, DatabaseStore):
        return None
    row: Any = getattr(store, "row", None)
    if row is not None:
        return math.ceil(row.expire_date.timestamp())
    if getattr(store, "has_read_row", False):
        return None
    # An engine of the project's own found it elsewhere; or it is the request's own store.
    rows = store.model.objects.filter(session_key=key).values_list("expire_date", flat=True)
    date = rows.first()
    return math.ceil(date.timestamp()) if date else None
