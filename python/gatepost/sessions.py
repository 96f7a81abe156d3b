"""Who a session key is, found without writing anything.

``views`` asks. ``request.user`` would not do: with SECRET_KEY_FALLBACKS it cycles the key (and the
browser, which gets no Set-Cookie here, is logged out), after a password change it flushes the row,
and an expired file session is replaced. The surprise: the store is a subclass of the project's
own engine in which every writing method does nothing, so that it cannot happen.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core import signing
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare


@dataclass(frozen=True)
class Login:
    """A session that is logged in."""

    user: Any
    #: When it ends by itself, as unix seconds, where the engine knows.
    expires_at: int | None


class _ReadOnlyCache:
    """A cache that is read and never filled.

    A fill after a concurrent logout would bring the session back from the dead.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._cache.get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


class _ReadOnly:
    """Mixed in before an engine's SessionStore: reads as that does, and writes nothing."""

    row: Any = None
    _cache: Any

    def __init__(self, key: str) -> None:
        super().__init__(key)  # type: ignore[call-arg]
        if hasattr(self, "_cache"):
            self._cache = _ReadOnlyCache(self._cache)

    def _get_session_from_db(self) -> Any:
        self.row = super()._get_session_from_db()  # type: ignore[misc]
        return self.row

    def _write_nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    save = create = delete = flush = cycle_key = clear_expired = _write_nothing


@cache
def _read_only(store: type) -> type:
    # The name is part of the salt with which Django signs a session's data.
    return type(store.__name__, (_ReadOnly, store), {"__qualname__": store.__qualname__})


def find_login(key: str | None) -> Login | None:
    """Return who is logged in with a session key; None for nobody."""
    if not key:
        return None
    engine = import_module(settings.SESSION_ENGINE)
    session = _read_only(engine.SessionStore)(key)
    user = _user(session)
    return Login(user, _expiry(session, key)) if user is not None else None


def _user(session: Any) -> Any:
    """Return the session's user as ``django.contrib.auth.get_user`` would, but without a write."""
    try:
        user_id = auth.get_user_model()._meta.pk.to_python(session[auth.SESSION_KEY])
        backend_path = session[auth.BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = auth.load_backend(backend_path).get_user(user_id)
    # A backend of the project's own may not look at is_active.
    if user is None or not getattr(user, "is_active", True):
        return None
    return user if _hash_holds(session, user) else None


def _hash_holds(session: Any, user: Any) -> bool:
    """Return whether the password (and SECRET_KEY or a fallback) is still that of the login."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    said = session.get(auth.HASH_SESSION_KEY)
    if not said:
        return False
    if constant_time_compare(said, user.get_session_auth_hash()):
        return True
    fallbacks: Any = getattr(user, "get_session_auth_fallback_hash", tuple)()
    return any(constant_time_compare(said, fallback) for fallback in fallbacks)


def _expiry(session: Any, key: str) -> int | None:
    """Return when the session truly ends.

    Not ``get_expiry_date()``: for an expiry in seconds that is "now and as long again" at every
    call.
    """
    if isinstance(session, SignedCookieStore):
        stamp = key.rsplit(":", 2)[1]
        return signing.b62_decode(stamp) + int(settings.SESSION_COOKIE_AGE)
    if not isinstance(session, DatabaseStore):
        return None
    if session.row is not None:
        return int(session.row.expire_date.timestamp())
    # cached_db found it in the cache; its row has the same end.
    rows = session.model.objects.filter(session_key=key).values_list("expire_date", flat=True)
    date = rows.first()
    return int(date.timestamp()) if date else None
