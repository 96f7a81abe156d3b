"""What is answered about a session: the JSON of the auth view, the batch view and the lease.

The surprise: it is one function for all three, because the gateway relies on each as on the others.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from gatepost import conf
from gatepost.logins import Login, has_named_groups

#: Marks an answer as this package's: a frontend's fallback page answers 200 to any path, too.
VERSION = 1


def answer(login: Login | None, *, frames: bool = True) -> dict[str, Any]:
    """Return what the gateway is told of a session, with or without its first frames."""
    if login is None:
        return _answer(None, [], None, [])
    user = login.user
    named = user._meta.pk.value_to_string(user)
    return _answer(named, _groups(login), login.expires_at, _frames(user) if frames else [])


def _answer(
    user: str | None, groups: list[str], expires_at: int | None, frames: list[Any]
) -> dict[str, Any]:
    return {
        "v": VERSION,
        "user": user,
        "groups": groups,
        "expires_at": expires_at,
        "lease": None,
        "frames": frames,
    }


def _groups(login: Login) -> list[str]:
    named = conf.function("GROUPS")
    if named is not None:
        return [str(name) for name in _list("GROUPS", named(login.user))]
    names = login.groups
    if names is None:
        # A custom user model may call something else "groups", or its groups have no names.
        if not has_named_groups(type(login.user)):
            return []
        names = list(login.user.groups.values_list("name", flat=True))
    return sorted(names)


def _frames(user: Any) -> list[Any]:
    made = conf.function("INITIAL_FRAMES")
    return _list("INITIAL_FRAMES", made(user)) if made is not None else []


def _list(key: str, said: Any) -> list[Any]:
    if said is None:
        return []
    if isinstance(said, str | bytes | dict):
        raise ImproperlyConfigured(
            f"GATEPOST[{key!r}] must return a list, not {type(said).__name__}"
        )
    return list(said)
