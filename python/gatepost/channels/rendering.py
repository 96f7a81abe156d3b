"""Lets a consumer write its frames in the process that sends, without a socket.

``layer`` calls :func:`render` for each event. The consumer is made, its handler is called as
Channels would call it, and what it sends is kept. The surprise: the handler runs in the producer's
own thread and transaction, so it sees rows that are not committed yet, and must not close the
database connection that the producer is reading from.
"""

import inspect
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer, SyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.db import connections

from gatepost.channels.inspecting import inspect_consumer
from gatepost.sending.frames import require_fitting, require_not_reserved

#: Ends every sentence about a handler that only a connection could run.
WAY_OUT = (
    "The gateway holds the connection, not this process. If the handler decides who may see the"
    " event, let the producer decide: notify(queryset, frame) instead of group_send(). If it is"
    " only what the frame says, put it into the event."
)


#: The code of a close() that says none.
NORMAL_CLOSURE = 1000

_LINE_ENDS = str.maketrans("\r\n", "  ")


class RenderError(Exception):
    """No frame can be made of an event; says why, and the way out."""


class HandlerError(RenderError):
    """The handler itself raised; its exception is the cause."""


class _OfConnection:
    """Stands for an attribute that ``connect()`` sets, whatever the class has by default.

    What the handler sets itself it may read again.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __set__(self, consumer: Any, value: Any) -> None:
        consumer.__dict__[self._name] = value

    def __get__(self, consumer: Any, owner: type | None = None) -> Any:
        if consumer is None:
            return self
        if self._name in consumer.__dict__:
            return consumer.__dict__[self._name]
        error = RenderError(
            f"reads self.{self._name}, which only a connection has (connect() sets it). {WAY_OUT}"
        )
        consumer.scope.error = error
        raise error


class _NoScope(Mapping[str, Any]):
    """Stands where a connection's scope would be.

    It remembers that it was read: a handler that catches all exceptions must not hide it.
    """

    error: RenderError | None = None

    def __getitem__(self, key: str) -> NoReturn:
        self._refuse(f"[{key!r}]")

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()

    def _refuse(self, key: str = "") -> NoReturn:
        self.error = RenderError(f"reads self.scope{key}. {WAY_OUT}")
        raise self.error


@dataclass(frozen=True)
class Close:
    """What a handler does that calls ``self.close()``."""

    code: int
    reason: str


async def render(consumer_class: type, event: dict[str, Any], layer: Any) -> list[str | Close]:
    """Return what a consumer's handler sends for an event: JSON texts, or a close, in order."""
    sent: list[dict[str, Any]] = []
    name = _handler_name(consumer_class, event)
    consumer = _consumer(consumer_class, name, sent, layer)
    scope = consumer.scope = _NoScope()
    handler = _handler(consumer, name)
    what = f"{consumer_class.__name__}.{name}()"
    if _reads_all_state(consumer_class, name):
        raise RenderError(f"{what} reads all of the connection's state. {WAY_OUT}")
    async with _database_kept_open():
        try:
            await _call(handler, deepcopy(event), is_sync=getattr(consumer, "_sync", False))
            if scope.error is not None:
                raise scope.error
        except StopConsumer:
            pass  # The handler has ended its connection; what it sent before that counts.
        except RenderError as error:
            raise RenderError(f"{what} {error}") from error
        except Exception as error:
            if isinstance(error, AttributeError) and error.obj is consumer:
                raise RenderError(
                    f"{what} reads self.{error.name}, which only a connection has (connect() sets"
                    f" it). {WAY_OUT}"
                ) from error
            raise HandlerError(f"{what} raised {type(error).__name__}: {error}") from error
    return [_read(message, what) for message in sent]


def _consumer(consumer_class: type, handler: str, sent: list[dict[str, Any]], layer: Any) -> Any:
    consumer: Any = consumer_class()
    guarded, state = _without_connection(consumer_class, handler)
    for name in state:
        consumer.__dict__.pop(name, None)  # What __init__() put there is a default, too.
    consumer.__class__ = guarded
    consumer.channel_layer = layer  # A handler may pass an event on to another group.

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    consumer.base_send = sent.append if getattr(consumer, "_sync", False) else keep
    return consumer


@cache
def _without_connection(consumer_class: type, handler: str) -> tuple[type, list[str]]:
    """Return the class with what a handler must not take from a connection that is not there.

    All of it, not what was seen to be read: sources do not show everything.
    """
    found = inspect_consumer(consumer_class)
    state = sorted(found.state | found.left_by_others.get(handler, frozenset()))
    names = {name: getattr(consumer_class, name) for name in ("__module__", "__qualname__")}
    guards = {name: _OfConnection(name) for name in state}
    return type(consumer_class.__name__, (consumer_class,), {**names, **guards}), state


def _reads_all_state(consumer_class: type, handler: str) -> bool:
    readings = inspect_consumer(consumer_class).readings
    return any(one.handler == handler and one.attribute == "__dict__" for one in readings)


def _handler_name(consumer_class: type, event: dict[str, Any]) -> str:
    try:
        name = str(get_handler_name(event))
    except (ValueError, AttributeError) as error:
        raise RenderError(f"the event has no usable 'type': {error}") from error
    if getattr(consumer_class, name, None) is None:
        raise RenderError(
            f"{consumer_class.__name__} has no handler {name}() for events of type"
            f" {event['type']!r}. Name the consumer that has it in RENDER."
        )
    return name


def _handler(consumer: Any, name: str) -> Any:
    """Return what Channels would call: a ``dispatch()`` of the project's own decides first."""
    dispatch = inspect.getattr_static(consumer, "dispatch")
    channels = [vars(one)["dispatch"] for one in (AsyncConsumer, SyncConsumer)]
    return getattr(consumer, name) if dispatch in channels else consumer.dispatch


async def _call(handler: Any, event: dict[str, Any], *, is_sync: bool) -> None:
    if is_sync and not inspect.iscoroutinefunction(handler):
        await sync_to_async(handler)(event)
        return
    answer = handler(event)
    if inspect.isawaitable(answer):
        await answer


@asynccontextmanager
async def _database_kept_open() -> AsyncIterator[None]:
    """Let no ``database_sync_to_async`` close a connection that the producer has open.

    It closes what CONN_MAX_AGE says is old, which by default is everything: in a consumer's process
    that does no harm, but here it may end the cursor over which the producer iterates.
    """
    kept = await sync_to_async(_take_ages)()
    try:
        yield
    finally:
        if kept:
            await sync_to_async(_give_ages)(kept)


def _take_ages() -> list[tuple[Any, float]]:
    kept = []
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and connection.close_at is not None:
            kept.append((connection, connection.close_at))
            connection.close_at = None
    return kept


def _give_ages(kept: list[tuple[Any, float]]) -> None:
    for connection, close_at in kept:
        if connection.connection is not None and connection.close_at is None:
            connection.close_at = close_at


def _read(message: dict[str, Any], what: str) -> str | Close:
    kind = message.get("type")
    if kind == "websocket.close":
        return Close(message.get("code", NORMAL_CLOSURE), message.get("reason", ""))
    if kind != "websocket.send":
        raise RenderError(f"{what} sends {kind!r}, which is not a frame of an open WebSocket.")
    text = message.get("text")
    if text is None:
        raise RenderError(f"{what} sends bytes, but the gateway's frames are JSON texts.")
    try:
        said = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise RenderError(
            f"{what} sends a text that is not JSON ({error}). The gateway's frames are JSON: let"
            " the handler use send_json() or json.dumps()."
        ) from error
    try:
        require_fitting(text)
        require_not_reserved(said)
    except ValueError as error:
        raise RenderError(f"{what}: {error}") from error
    # Line ends separate the publications of a call; between JSON's tokens they mean nothing.
    return str(text).translate(_LINE_ENDS)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
