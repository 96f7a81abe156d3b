"""``online``: how many connections users have, and how many listen to topics.

Gateways that share a broker count for each other, and those that do not cannot know of each other;
so of several answers the largest is taken, which is never a connection too many.
"""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model

from gatepost import backends, conf
from gatepost.sending import client
from gatepost.sending.targets import audience
from gatepost.sending.topics import Topic

logger = logging.getLogger("gatepost")

#: How many are asked about in one call: their names have to fit a request line.
USERS_IN_A_CALL = 100
TOPICS_IN_A_CALL = 10

#: What is asked about, in the words of the gateway's API: ``("user", "42")``.
_Asked = tuple[str, str]


def online(*users: Any) -> dict[Any, int]:
    """Return how many connections each user has, by primary key; 0 for a user who is away.

    Users are given as to ``notify``: objects, primary keys, or iterables of those. Of a ``Topic``
    it is how many connections listen to it, by the topic. Where no gateway can be reached the
    answer is empty, and that is logged. In tests without a gateway all are away.
    """
    named = list(dict.fromkeys(_asked(users)))
    if backends.is_cut_off():
        return {_key(one): 0 for one in named}
    counts: dict[_Asked, int] = {}
    failure: client.GatewayError | None = None
    for url in client.urls() if named else ():
        try:
            for one, count in _ask(url, named):
                counts[one] = max(count, counts.get(one, 0))
        except client.GatewayError as error:
            logger.log(error.level, "%s", error)
            failure = error
    if failure is not None and not conf.value("FAIL_SILENTLY"):
        raise failure
    return {_key(one): count for one, count in counts.items()}


def _key(one: _Asked) -> Any:
    kind, name = one
    return Topic.named(name) if kind == "topic" else get_user_model()._meta.pk.to_python(name)


def _asked(users: tuple[Any, ...]) -> Iterator[_Asked]:
    for one in users:
        to = audience(one)
        if to is None:
            continue
        if "topic" in to:
            yield "topic", to["topic"]
            continue
        if not to.keys() <= {"user", "users"}:
            raise TypeError("online() takes users, primary keys, iterables of those, or a Topic")
        yield from (("user", user) for user in to.get("users") or [to["user"]])


def _ask(url: str, named: list[_Asked]) -> Iterator[tuple[_Asked, int]]:
    for kind, answered, most in (
        ("user", "online", USERS_IN_A_CALL),
        ("topic", "topics", TOPICS_IN_A_CALL),
    ):
        wanted = [one for one in named if one[0] == kind]
        for start in range(0, len(wanted), most):
            some = wanted[start : start + most]
            said = client.get(f"/v1/online?{urlencode(some)}", url=url).json().get(answered)
            counted = said if isinstance(said, dict) else {}
            yield from ((one, int(counted.get(one[1]) or 0)) for one in some)
