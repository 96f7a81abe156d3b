"""Who is in a Channels group, and which consumer writes its frames.

``layer`` asks for each name. Patterns are names in which ``*`` stands for any text; the first that
fits wins, in the order in which the project wrote them. A group that no pattern names still has an
audience: ``user_42`` is the user 42, and any other is the gateway's group of that name.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost.channels.inspecting import inspect_consumer
from gatepost.sending.targets import Connection, Everyone, Group, user_id
from gatepost.sending.topics import Topic

#: What ``channel_name`` puts before a connection's id.
CONNECTION_PREFIX = "specific.gw!"

#: The groups that nearly every public project gives its users.
USER_PREFIX = "user_"

_TARGET = re.compile(r"(user|group|topic):(.+)|everyone")


def channel_name(connection: str | Connection) -> str:
    """Return the channel that ``send()`` reaches one connection by, from its id."""
    return CONNECTION_PREFIX + (connection.id if isinstance(connection, Connection) else connection)


def connection_of(channel: str) -> Connection | None:
    """Return the connection that a channel names, or None for one that is not the gateway's."""
    if not channel.startswith(CONNECTION_PREFIX):
        return None
    return Connection(channel.removeprefix(CONNECTION_PREFIX))


@dataclass(frozen=True)
class _Pattern:
    """A name with ``*``, and what the project says of the names that fit it."""

    text: str
    value: Any

    def fit(self, name: str) -> tuple[str, ...] | None:
        """Return what stands for each ``*``, or None where the name does not fit."""
        parts = map(re.escape, self.text.split("*"))
        found = re.fullmatch("(.+)".join(parts), name)
        return found.groups() if found else None


def _patterns(key: str, written: Mapping[str, Any] | None) -> list[_Pattern]:
    if written is None:
        return []
    if not isinstance(written, Mapping) or not all(isinstance(one, str) for one in written):
        raise ImproperlyConfigured(
            f"CONFIG[{key!r}] of the channel layer must map group names, such as 'user_*'"
        )
    return [_Pattern(text, value) for text, value in written.items()]


class Targets:
    """``CONFIG["GROUPS"]``: ``{"user_*": "user:{}", "alerts": "everyone", "staff_*": "group:{}"}``.

    ``{}`` is what stands for ``*``. None says that a group is not the gateway's. A topic is a free
    name (``"order_*": "topic:order.{}"``) or an object's (``"order_*": "topic:shop.order:{}"``).
    """

    def __init__(self, written: Mapping[str, str | None] | None) -> None:
        self._patterns = _patterns("GROUPS", written)
        for pattern in self._patterns:
            _check_target(pattern)

    def names(self, group: str) -> bool:
        """Return whether the project says who is in this group."""
        return any(pattern.fit(group) is not None for pattern in self._patterns)

    def find(self, group: str, consumer: type | None) -> Any:
        """Return the target of a group, as ``notify`` takes it; None: it is not the gateway's."""
        for pattern in self._patterns:
            texts = pattern.fit(group)
            if texts is not None:
                return _target(pattern.value, texts)
        if group in (getattr(consumer, "groups", None) or ()):
            _require_open(consumer, group)
            return Everyone  # Channels adds every connection of a consumer to these.
        return _user_of(group) or Group(group)


def _require_open(consumer: Any, group: str) -> None:
    """Refuse to take a consumer's group for everyone's where ``connect()`` chooses."""
    if inspect_consumer(consumer).turns_away:
        raise ImproperlyConfigured(
            f"{consumer.__name__}.connect() turns some connections away, so its group {group!r} is"
            f" not everyone's. Write {group!r}: 'group:{group}' into GROUPS in the CONFIG of"
            " GatepostChannelLayer and let GATEPOST['GROUPS'] say who is in it, or name the users:"
            " notify(queryset, frame)"
        )


def _check_target(pattern: _Pattern) -> None:
    said = pattern.value
    if said is None:
        return
    stars = pattern.text.count("*")
    if not isinstance(said, str) or not _TARGET.fullmatch(said) or said.count("{}") > stars:
        raise ImproperlyConfigured(
            f"CONFIG['GROUPS'][{pattern.text!r}] of the channel layer must be 'user:{{}}',"
            " 'group:{}', 'topic:{}', 'everyone' or None, with one {} for each * of the pattern,"
            f" not {said!r}"
        )
    if said.startswith("topic:"):
        _check_topic(pattern.text, said.removeprefix("topic:").replace("{}", "x"))


def _check_topic(pattern: str, name: str) -> None:
    try:
        Topic.named(name)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"CONFIG['GROUPS'][{pattern!r}] of the channel layer: {error}"
        ) from error


def _target(said: str | None, texts: tuple[str, ...]) -> Any:
    if said is None:
        return None
    if said == "everyone":
        return Everyone
    kind, _, name = said.partition(":")
    # Only an object's key may have a colon, and what stands for it is quoted as keys are.
    head, colon, _ = name.partition(":")
    for text in texts:
        in_key = kind == "topic" and colon and "{}" not in head
        name = name.replace("{}", quote(text, safe="") if in_key else text, 1)
        head = head.replace("{}", text, 1)
    if kind == "topic":
        return Topic.named(name)
    return Group(name) if kind == "group" else _user(name)


def _user_of(group: str) -> str | None:
    if not group.startswith(USER_PREFIX):
        return None
    try:
        return _user(group.removeprefix(USER_PREFIX))
    except ValueError:
        return None  # user_updates is no user.


def meant_for_a_user(group: str) -> tuple[str, str] | None:
    """Return the pattern and the key where a group's name ends in what may be a user's key."""
    for mark in re.finditer("[_.-]", group):
        prefix, text = group[: mark.end()], group[mark.end() :]
        if any(one.isdigit() for one in prefix):
            break  # chat_4_2 is a talk, not a user.
        with suppress(ValueError):
            return f"{prefix}*", str(_user(text))
    return None


def _user(text: str) -> str | None:
    user = user_id(text)
    # Python reads "4_2", which is rather a talk of 4 with 2, as the number 42.
    if user is None or _folded(user) != _folded(text):
        raise ValueError(f"{text!r} is not the primary key of a user")
    return user


def _folded(key: str) -> str:
    return key.replace("-", "").lower()  # A UUID may be written without its hyphens.


class Consumers:
    """``CONFIG["RENDER"]``: ``{"user_*": "app.consumers.NotificationConsumer"}``.

    Classes are imported when they are needed: consumers import models, and layers are made early.
    """

    def __init__(self, written: Mapping[str, Any] | None) -> None:
        self._patterns = _patterns("RENDER", written)
        for pattern in self._patterns:
            if not pattern.value or not (callable(pattern.value) or isinstance(pattern.value, str)):
                raise ImproperlyConfigured(
                    f"CONFIG['RENDER'][{pattern.text!r}] of the channel layer must be a consumer"
                    f" class or the dotted path to one, not {pattern.value!r}"
                )

    def names(self, group: str) -> bool:
        """Return whether the project says which consumer writes this group's frames."""
        return any(pattern.fit(group) is not None for pattern in self._patterns)

    def find(self, name: str) -> type | None:
        """Return the consumer class of a group or channel, or None where none is named."""
        for pattern in self._patterns:
            if pattern.fit(name) is not None:
                return _consumer(pattern)
        return None

    def all(self) -> list[type]:
        """Return the consumer classes that are named, each once."""
        return list(dict.fromkeys(map(_consumer, self._patterns)))

    def only(self) -> type | None:
        """Return the one consumer class that is named at all, if it is just one."""
        found = self.all()
        return found[0] if len(found) == 1 else None


def _consumer(pattern: _Pattern) -> type:
    named = pattern.value
    if isinstance(named, str):
        try:
            named = import_string(named)
        except ImportError as error:
            raise ImproperlyConfigured(
                f"CONFIG['RENDER'][{pattern.text!r}] of the channel layer names {named!r}, which"
                f" cannot be imported: {error}"
            ) from error
    # What a routing names is Consumer.as_asgi(), which keeps its class.
    named = getattr(named, "consumer_class", named)
    if not isinstance(named, type):
        raise ImproperlyConfigured(
            f"CONFIG['RENDER'][{pattern.text!r}] of the channel layer must name a consumer class,"
            f" not {type(named).__name__}"
        )
    return named
