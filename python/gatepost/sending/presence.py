"""``online``: how many connections users have.

The surprise: gateways that share a broker count for each other, and those that do not cannot know
of each other; so of several answers the largest is taken, which is never a connection too many.
"""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model

from gatepost import backends, conf
from gatepost.sending import client
from gatepost.sending.targets import audience

logger = logging.getLogger("gatepost")

#: How many users are asked about in one call: their keys have to fit a request line.
USERS_IN_A_CALL = 100


def online(*users: Any) -> dict[Any, int]:
    """Return how many connections each user has, by primary key; 0 for a user who is away.

    Users are given as to ``notify``: objects, primary keys, or iterables of those. Where no gateway
    can be reached the answer is empty, and that is logged. In tests without a gateway all are away.
    """
    named = list(dict.fromkeys(_ids(users)))
    to_python = get_user_model()._meta.pk.to_python
    if backends.is_cut_off():
        return {to_python(user): 0 for user in named}
    counts: dict[str, int] = {}
    failure: client.GatewayError | None = None
    for url in client.urls() if named else ():
        try:
            for user, count in _ask(url, named):
                counts[user] = max(count, counts.get(user, 0))
        except client.GatewayError as error:
            logger.log(error.level, "%s", error)
            failure = error
    if failure is not None and not conf.value("FAIL_SILENTLY"):
        raise failure
    return {to_python(user): count for user, count in counts.items()}


def _ids(users: tuple[Any, ...]) -> Iterator[str]:
    for one in users:
        to = audience(one)
        if to is None:
            continue
        if not to.keys() <= {"user", "users"}:
            raise TypeError("online() takes users, primary keys, or iterables of those")
        yield from to.get("users") or [to["user"]]


def _ask(url: str, users: list[str]) -> Iterator[tuple[str, int]]:
    for start in range(0, len(users), USERS_IN_A_CALL):
        some = users[start : start + USERS_IN_A_CALL]
        query = urlencode([("user", user) for user in some])
        said = client.get(f"/v1/online?{query}", url=url).json().get("online")
        counted = said if isinstance(said, dict) else {}
        yield from ((user, int(counted.get(user) or 0)) for user in some)
