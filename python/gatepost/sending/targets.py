"""The target of a publication or a revocation, as the gateway's API names it.

``publishing`` turns what the caller gave into an audience here. A model instance that is no user is
refused, because its primary key may well be that of some user.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model, QuerySet

from gatepost import conf
from gatepost.sending.topics import Topic
from gatepost.signing.digest import session_digest

#: The ``to`` member of a publication; None addresses nobody.
Audience = dict[str, Any] | None


@dataclass(frozen=True)
class Group:
    """Every connection whose user is in a group (see ``GATEPOST["GROUPS"]``)."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"Group takes the name of a group, not {self.name!r}")


@dataclass(frozen=True)
class Connection:
    """One connection, by the id that the gateway gave it."""

    id: str


class Session:
    """Every connection of one session, named by a request or by the session's key."""

    def __init__(self, request_or_key: Any) -> None:
        session = getattr(request_or_key, "session", None)
        self._key = request_or_key if session is None else session.session_key
        if self._key is not None and not isinstance(self._key, str):
            raise TypeError(
                "Session takes a request (with a session) or a session key, not"
                f" {type(request_or_key).__name__}"
            )

    def digest(self) -> str | None:
        """Return what the gateway calls this session; None where it was never saved."""
        return session_digest(conf.secret(), self._key) if self._key else None

    def __repr__(self) -> str:
        return "Session(…)"  # The key is as good as a password: never shown.


class _Everyone:
    def __repr__(self) -> str:
        return "Everyone"


#: Every connection.
Everyone: Final = _Everyone()


def audience(target: Any) -> Audience:
    """Return the audience of a target; raise TypeError or ValueError where it is none."""
    if isinstance(target, Group):
        return {"group": target.name}
    if _is_djangos_group(target):
        return {"group": Group(target.name).name}
    if isinstance(target, Session):
        digest = target.digest()
        return {"session": digest} if digest else None
    if isinstance(target, Connection):
        return {"connection": target.id}
    if isinstance(target, Topic):
        return {"topic": target.name}
    if target is Everyone:
        return {"everyone": True}
    # A user first: request.user is a lazy object, which looks iterable whatever it holds.
    if _is_several(target):
        users = [user for one in _members(target) if (user := user_id(one)) is not None]
        return {"users": list(dict.fromkeys(users))} if users else None
    user = user_id(target)
    return {"user": user} if user is not None else None


def has_named_groups(model: Any) -> bool:
    """Return whether a user model's ``groups`` are what Django's are: many, with names."""
    try:
        groups = model._meta.get_field("groups")
        groups.related_model._meta.get_field("name")
    except (FieldDoesNotExist, AttributeError):
        return False
    return bool(groups.many_to_many) and hasattr(model.groups, "rel")


def _is_djangos_group(target: Any) -> bool:
    """Return whether this is one of Django's groups, which the gateway calls by the same name."""
    if not isinstance(target, Model) or conf.value("GROUPS") is not None:
        return False
    model = get_user_model()
    return has_named_groups(model) and isinstance(
        target, model._meta.get_field("groups").related_model
    )


def _is_several(target: Any) -> bool:
    if hasattr(target, "is_anonymous") or isinstance(target, str | Model):
        return False
    return isinstance(target, Iterable)


def user_id(user: Any) -> str | None:
    """Return the id of a user object or primary key; None for a user without one."""
    if isinstance(user, bool) or user is None or isinstance(user, bytes | dict):
        raise TypeError(_wrong(user))
    if isinstance(user, int | str | UUID):
        return _canonical(user)
    if getattr(user, "is_anonymous", False) is True:
        return None
    if not isinstance(user, get_user_model()):
        raise TypeError(_wrong(user))
    # What Django's own login() stores in the session, and so what the auth view answers.
    return user._meta.pk.value_to_string(user) if user.pk is not None else None


def _canonical(key: Any) -> str:
    """Return a key as the auth view spells it: "042" is 42, and a UUID has its hyphens."""
    try:
        return str(get_user_model()._meta.pk.to_python(key))
    except ValidationError as error:
        raise ValueError(f"{key!r} is not a primary key of {get_user_model().__name__}") from error


def _members(target: Iterable[Any]) -> Iterable[Any]:
    if isinstance(target, bytes | dict):
        raise TypeError(_wrong(target))
    if not isinstance(target, QuerySet):
        return target
    loaded = target._result_cache is not None or target._fields is not None
    if loaded or not issubclass(target.model, get_user_model()):
        return target
    return target.values_list("pk", flat=True)


def _wrong(target: Any) -> str:
    return (
        f"cannot notify {type(target).__name__}: give a user, a user's primary key, an iterable"
        " of those, Topic(object), Group(name), Session(request), Connection(id) or"
        f" Everyone{_hint(target)}"
    )


def _hint(target: Any) -> str:
    if not isinstance(target, Model):
        return ""
    listeners = f". For those who listen to this object, send to Topic({target._meta.model_name})"
    if conf.value("GROUPS") is None or not hasattr(target, "name"):
        return listeners
    return (
        f"{listeners}. In which groups users are, says GATEPOST['GROUPS']: give Group(…) a name of"
        " its"
    )
