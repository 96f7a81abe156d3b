"""Whether saving a user may change what the gateway is told about it.

``changes`` asks. Some sites save users at each request (``last_seen``), and the gateway would ask
about all of the user's sessions each time. So each user object keeps the values it was loaded with,
and only fields count that the answers depend on. The surprise: an object that was refreshed and
then set back looks unchanged, so it is also compared with what this process loaded last.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection
from datetime import date, time
from typing import Any

from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db.models.manager import BaseManager

from gatepost import conf

#: What Django's own answers depend on, besides the groups.
_OWN = {"password", "is_active"}

#: Saved by every login, and nothing else then.
_NEVER = {"last_login"}

#: How many users' last loaded values are kept.
MOST_KNOWN = 1_000

_known: "OrderedDict[Any, dict[str, Any]]" = OrderedDict()
_lock = threading.Lock()


def remember(user: Any) -> None:
    """Keep the values of a user object that was just loaded or saved."""
    loaded = user.__dict__.copy()
    del loaded["_state"]
    user._state.gatepost_loaded = loaded
    if user.pk is not None:
        with _lock:
            _known[user.pk] = loaded
            _known.move_to_end(user.pk)
            if len(_known) > MOST_KNOWN:
                _known.popitem(last=False)


def forget(user: Any) -> None:
    """Drop the values of a user object that was not loaded from the database."""
    user._state.gatepost_loaded = None


def is_changed(user: Any, saved: Collection[str] | None) -> bool:
    """Return whether a save may have changed what is answered about a user.

    ``saved`` are the ``update_fields``; None: all.
    """
    before = getattr(user._state, "gatepost_loaded", None)
    with _lock:
        last = _known.get(user.pk)
    return any(
        _differs(known, user, field.attname)
        for field in _fields(type(user))
        if saved is None or field.name in saved or field.attname in saved
        for known in (before, last)
    )


def _differs(known: dict[str, Any] | None, user: Any, name: str) -> bool:
    if name not in user.__dict__:
        return False  # Deferred, and so not saved.
    if known is None or name not in known:
        return True
    before, now = known[name], user.__dict__[name]
    if isinstance(before, date | time) and isinstance(now, date | time):
        return False  # Another date changes no answer; a date where there was none may.
    if isinstance(now, dict | list):
        return True  # It may have been changed in place, together with what was kept.
    return bool(before != now)


def _fields(model: Any) -> list[Any]:
    """Return the fields that matter: see RECHECK_ON_USER_SAVE in docs/settings.md."""
    named = conf.value("RECHECK_ON_USER_SAVE")
    all_fields = model._meta.concrete_fields
    if isinstance(named, Collection):
        return [one for one in all_fields if one.name in {*_OWN, *named}]
    if _depends_on_anything(model):
        return [one for one in all_fields if one.name not in _NEVER]
    return [one for one in all_fields if one.name in _OWN]


def _depends_on_anything(model: Any) -> bool:
    """Return whether code of the project's own has a say in what is answered."""
    if conf.value("GROUPS") is not None or conf.value("USER_RESOLVER") != "session":
        return True
    own_hash = getattr(model, "get_session_auth_hash", None)
    if own_hash not in (None, AbstractBaseUser.get_session_auth_hash):
        return True
    if not _is_field(model, "is_active") and isinstance(
        getattr(model, "is_active", True), property
    ):
        return True
    # A manager that hides the users who are gone, or a backend that refuses some.
    if type(model._default_manager).get_queryset is not BaseManager.get_queryset:
        return True
    return not all(map(_is_plain, auth.get_backends()))


def _is_plain(backend: Any) -> bool:
    own = [getattr(type(backend), name, None) for name in ("get_user", "user_can_authenticate")]
    return own == [ModelBackend.get_user, ModelBackend.user_can_authenticate]


def _is_field(model: Any, name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False
