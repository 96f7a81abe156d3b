"""Finds out who is logged in with a session, without writing anything.

``views`` asks, for one session or for hundreds: both are the same code. ``request.user`` would not
do: with SECRET_KEY_FALLBACKS it cycles the key (and the browser, which gets no Set-Cookie here, is
logged out), after a password change it flushes the row, and an expired file session is replaced.
Users and the names of their groups are read together, in one query.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import ValidationError
from django.db.models import F
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import LazyObject, empty

from gatepost.answering import sessions
from gatepost.sending.targets import has_named_groups

_GROUP = "gatepost_group_name"


@dataclass(frozen=True)
class Login:
    """A session that is logged in."""

    user: Any
    #: When it ends by itself, as unix seconds, where the engine knows.
    expires_at: int | None = None
    #: The names of the user's groups, where they were read with the user.
    groups: list[str] | None = None

    @property
    def user_id(self) -> str:
        """Return the user's id, as sessions have it."""
        return str(self.user._meta.pk.value_to_string(self.user))


@dataclass(frozen=True)
class _Claim:
    """Who a session says it is: a path of a backend and a primary key."""

    backend: str
    user_id: Any


@dataclass(frozen=True)
class _Found:
    user: Any
    groups: list[str] | None = None


def find_login(key: str | None) -> Login | None:
    """Return who is logged in with a session key; None: nobody is."""
    return find_logins([key])[0]


def find_logins(keys: Sequence[str | None]) -> list[Login | None]:
    """Return who is logged in with each session key, in as few queries as for one."""
    # PostgreSQL fails at a NUL in a cookie, and so would the whole batch that the cookie is in.
    known = list(dict.fromkeys(key for key in keys if key and key.isprintable()))
    stores = dict(zip(known, sessions.stores(known), strict=True))
    claims = {key: _claim(store) for key, store in stores.items()}
    users = _users({claim for claim in claims.values() if claim is not None})
    logins: dict[str | None, Login | None] = {}
    for key, store in stores.items():
        found = users.get(claims[key])
        if found is not None and _holds(store, found.user):
            logins[key] = Login(found.user, sessions.expiry(store, key), found.groups)
    return [logins.get(key) for key in keys]


def is_login_of(session: Any, user: Any) -> bool:
    """Return whether a session is logged in as a user that is at hand already."""
    claim = _claim(session)
    if claim is None or not isinstance(user, auth.get_user_model()):
        return False
    return bool(claim.user_id == user.pk) and _holds(session, user)


def login_in(session: Any) -> Login | None:
    """Return who is logged in with the session of a request, as it is in this moment."""
    claim = _claim(session)
    found = _users({claim}).get(claim) if claim is not None else None
    if found is None or not _holds(session, found.user):
        return None
    return Login(found.user, groups=found.groups)


def known_users(request: HttpRequest) -> list[Any]:
    """Return the user objects that a request has already.

    Several: a login replaces ``request.user`` alone, and a middleware that lets an admin act as
    somebody else replaces it too, while the session stays the admin's.
    """
    user = request.__dict__.get("user")
    if isinstance(user, LazyObject):
        user = None if user._wrapped is empty else user._wrapped
    kept = [getattr(request, name, None) for name in ("_cached_user", "_acached_user")]
    return [one for one in (user, *kept) if one is not None]


def _claim(session: Any) -> _Claim | None:
    try:
        user_id = auth.get_user_model()._meta.pk.to_python(session[auth.SESSION_KEY])
        backend = session[auth.BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    return _Claim(backend, user_id) if backend in settings.AUTHENTICATION_BACKENDS else None


def _users(claims: set[_Claim]) -> dict[_Claim | None, _Found]:
    # A project without django.contrib.auth imports this module, too, and is told by a check.
    from django.contrib.auth.backends import ModelBackend

    found: dict[_Claim | None, _Found] = {}
    together: dict[Any, list[_Claim]] = {}
    for claim in claims:
        backend = auth.load_backend(claim.backend)
        if getattr(type(backend), "get_user", None) is ModelBackend.get_user:
            together.setdefault(claim.user_id, []).append(claim)
            continue
        user = backend.get_user(claim.user_id)
        if user is not None:
            found[claim] = _Found(user)
    for user_id, one in _read_users(together).items():
        for claim in together[user_id]:
            if auth.load_backend(claim.backend).user_can_authenticate(one.user):
                found[claim] = one
    return found


def _read_users(ids: Iterable[Any]) -> dict[Any, _Found]:
    """Read users as ``ModelBackend.get_user`` does, with the names of their groups."""
    wanted = list(ids)
    if not wanted:
        return {}
    model = auth.get_user_model()
    rows = model._default_manager.filter(pk__in=wanted)
    if not has_named_groups(model):
        return {user.pk: _Found(user) for user in rows}
    found: dict[Any, _Found] = {}
    for user in rows.annotate(**{_GROUP: F("groups__name")}):
        one = found.setdefault(user.pk, _Found(user, []))
        name = getattr(user, _GROUP)
        if name is not None and one.groups is not None:
            one.groups.append(name)
    return found


def _holds(session: Any, user: Any) -> bool:
    # A backend of the project's own may not look at is_active.
    return bool(getattr(user, "is_active", True)) and _hash_holds(session, user)


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
