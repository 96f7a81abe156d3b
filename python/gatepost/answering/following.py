"""``GATEPOST["TOPICS"]``: who may still listen to what a token granted.

A subscription lives as long as its connection. So the gateway asks again, for the models that are
named here; the callable is given the users who listen now.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from gatepost import conf

#: How the name of a model's topics ends, as it is written in the settings.
KEY = ":<pk>"


def who_may(topic: str, users: Sequence[str]) -> list[str] | None:
    """Return which of the users may listen; None where the settings do not name the topic's model.

    That is also for a model that is not asked about on purpose.
    """
    model, _, key = topic.partition(":")
    may = function(model)
    if may is None:
        return None
    said = may(list(users), unquote(key))
    if said is None or isinstance(said, str | bytes):
        raise ImproperlyConfigured(
            f"GATEPOST['TOPICS'][{model + KEY!r}] must return a set of user ids, not"
            f" {type(said).__name__}"
        )
    allowed = {str(one) for one in said}
    return [user for user in users if user in allowed]


def function(model: str) -> Callable[[list[str], str], Any] | None:
    """Return the callable that the settings name for a model (``shop.order``), if they do."""
    named = conf.value("TOPICS").get(model + KEY)
    if isinstance(named, str):
        named = import_string(named)
    if named is not None and not callable(named):
        raise ImproperlyConfigured(
            f"GATEPOST['TOPICS'][{model + KEY!r}] must be a callable, a dotted path to one, or None"
        )
    made: Callable[[list[str], str], Any] | None = named
    return made
