"""``Topic``: what a page listens to, by the name that gateway and page know it by.

``targets`` takes it for a publication, ``answering`` for grants. An object's name has a colon and a
free one cannot have any, so whatever text a project makes names of, none of it is taken for an
object's.
"""

from typing import Any
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.db.models import Model

from gatepost.signing.topics import LONGEST, LONGEST_FREE, is_free_name, is_name


class Topic:
    """What listens to an object, or to a free name: ``Topic(order)``, ``Topic("news")``.

    ``within`` tells apart what has one name at several tenants: ``Topic(order, within="acme")``.
    """

    __slots__ = ("name",)

    #: As the gateway knows it: ``shop.order:17``.
    name: str

    def __init__(self, of: Any, *, within: str | None = None) -> None:
        named = _object_name(of) if isinstance(of, Model) else _free_name(of)
        self.name = named if within is None else f"{_prefix(within)}/{named}"
        if not is_name(self.name):
            most = LONGEST if isinstance(of, Model) else LONGEST_FREE
            raise ValueError(f"the topic {self.name[:80]!r}… has more than {most} bytes")

    @classmethod
    def named(cls, name: str) -> "Topic":
        """Return the topic of a name as the gateway knows it, an object's included."""
        if not is_name(name):
            raise ValueError(
                f"{name!r} is not the name of a topic: such as shop.order:17 (the key quoted as in"
                " URLs), or a free name of A-Za-z0-9_.-/"
            )
        topic = cls.__new__(cls)
        topic.name = name
        return topic

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topic) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def topic_of(one: Any, *, within: str | None = None) -> Topic:
    """Return the topic of an object or a free name; a topic as it is."""
    if not isinstance(one, Topic):
        return Topic(one, within=within)
    return one if within is None else Topic.named(f"{_prefix(within)}/{one.name}")


def _free_name(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"Topic takes an object or a name, not {type(text).__name__}")
    if not is_free_name(text):
        hint = " (an object itself is given, not its name)" if ":" in text else ""
        raise ValueError(
            f"a topic's name has 1 to {LONGEST_FREE} characters of A-Za-z0-9_.-/, not"
            f" {text[:80]!r}{hint}"
        )
    return str(text)


def _prefix(within: Any) -> str:
    if not isinstance(within, str) or not is_free_name(within):
        raise ValueError(f"within= takes a name of A-Za-z0-9_.-/, not {within!r}")
    return str(within)


def _object_name(instance: Model) -> str:
    if instance.pk is None or instance._state.adding:
        raise ValueError(
            f"this {instance._meta.object_name} was not saved: nobody can listen to it"
        )
    # Listeners to the model itself hear of a proxy model's objects, too.
    meta = instance._meta.concrete_model._meta
    label = ".".join(quote(part, safe="") for part in meta.label_lower.split("."))
    key = _key(instance)
    if not key:
        raise ValueError(f"the key of this {meta.object_name} is empty: nobody can listen to it")
    return f"{label}:{quote(key, safe='')}"


def _key(instance: Model) -> str:
    """Return the key as the database's object has it: one that was saved as "017" is 17."""
    field: Any = instance._meta.concrete_model._meta.pk
    stored = _Stored()
    try:
        setattr(stored, field.attname, field.to_python(getattr(instance, field.attname)))
    except ValidationError:
        return str(field.value_to_string(instance))
    return str(field.value_to_string(stored))


class _Stored:
    """Holds a key's value, as a field reads it."""
