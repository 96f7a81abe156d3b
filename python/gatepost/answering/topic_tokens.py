"""``topic_token``: a page's grants, which it brings along when it opens its socket.

A user who may see the page may listen to what is on it. The surprise: without a login the page
gets an empty text instead of a token, unless it says ``public=True``: a token without a user would
be good for everybody.
"""

import logging
import time
from typing import Any

from asgiref.sync import sync_to_async

from gatepost import conf
from gatepost.answering import caching, resolving
from gatepost.sending.topics import topic_of
from gatepost.signing.topics import ANYBODY, LONGEST_TOKEN, Grant
from gatepost.throttle import Throttle

logger = logging.getLogger("gatepost")

_log_throttle = Throttle(60)


def topic_token(request: Any, *topics: Any, within: str | None = None, public: bool = False) -> str:
    """Return a token by which the user of a request may listen to objects, or to free names.

    It is the value of ``?topic=`` (``encodeURIComponent`` it), and stays good for
    ``GATEPOST["TOPIC_MAX_AGE"]``. ``public`` makes it good for anybody, visitors included. Where
    nobody is logged in it is empty otherwise. The answer is kept out of shared caches.
    """
    if not topics:
        raise TypeError("topic_token() takes a request and at least one object or name")
    names = list(dict.fromkeys(topic_of(one, within=within).name for one in topics))
    caching.keep_private(request)
    user = ANYBODY if public else _user_of(request)
    if not public and user == ANYBODY:
        _log_rarely(names)
        return ""
    issued = time.time_ns() // 1_000_000
    token = Grant(names, user, issued, issued // 1000 + conf.topic_max_age()).token(conf.secret())
    if len(token) > LONGEST_TOKEN:
        raise ValueError(
            f"a token for {len(names)} topics has {len(token)} bytes, and the gateway takes"
            f" {LONGEST_TOKEN}: let the page listen to what they have in common"
        )
    return token


async def atopic_token(
    request: Any, *topics: Any, within: str | None = None, public: bool = False
) -> str:
    """Return what :func:`topic_token` does, for asynchronous code."""
    return await sync_to_async(topic_token)(request, *topics, within=within, public=public)


def _user_of(request: Any) -> str:
    login = resolving.who(caching.djangos_own(request))
    return login.user_id if login is not None else ANYBODY


def _log_rarely(names: list[str]) -> None:
    if _log_throttle.allows():
        logger.warning(
            "no token for %s: nobody is logged in. Where visitors may listen, say public=True",
            ", ".join(names)[:200],
        )
