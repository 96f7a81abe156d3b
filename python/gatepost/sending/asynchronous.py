"""``anotify``, ``arevoke``, ``arecheck`` and ``aonline``, for asynchronous code.

The surprise: they run in Django's one thread for synchronous code, not in any other, because that
is where the transaction is open that they have to wait for.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from gatepost.sending.presence import online
from gatepost.sending.publishing import notify, recheck, revoke

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _asynchronous(function: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
    @wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

    call.__name__ = call.__qualname__ = f"a{function.__name__}"
    return call


#: :func:`notify` for asynchronous code.
anotify = _asynchronous(notify)
#: :func:`revoke` for asynchronous code.
arevoke = _asynchronous(revoke)
#: :func:`recheck` for asynchronous code.
arecheck = _asynchronous(recheck)
#: :func:`online` for asynchronous code.
aonline = _asynchronous(online)
