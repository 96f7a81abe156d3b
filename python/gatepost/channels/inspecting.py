"""What of a consumer is lost when only its handlers run, found before it happens.

``checks`` warns of it, and ``rendering`` refuses what a handler must not believe. What
``connect()`` and similar methods set counts as state of a connection, even where the class has a
default for it; a handler would take that for an answer, and show everybody what is for one.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

from gatepost.channels.reading import Body, conditions_of_refusal, layers, plain, read

#: What only Channels' own dispatch gives a consumer; and where all of a connection's state is.
_OF_CONNECTION = {"scope", "channel_name", "channel_receive", "__dict__"}

#: What Channels and the gateway's layer give each consumer, however it is made.
_GIVEN = {"scope", "channel_layer", "base_send", "groups", "__dict__"}

#: What a handler's parameter is called, also where ``connect()`` calls it.
_EVENTS = {"event", "message", "msg", "evt"}

#: What ``connect()`` may check of a user that the gateway checks as well.
_LOGGED_IN = {"is_anonymous", "is_authenticated", "AnonymousUser", "scope", "user", "get", "self"}

#: All that is in a ``receive()`` which only answers a ping, as the gateway does.
_PING = {"type", "ping", "pong", "event", "action"}


@dataclass(frozen=True)
class Reading:
    """A handler that reads what only a connection has."""

    handler: str
    #: As it stands there: ``self.scope['user']``.
    what: str
    attribute: str
    #: The method or function in which it stands; empty for the handler itself.
    through: str


@dataclass(frozen=True)
class Findings:
    """What is lost."""

    readings: tuple[Reading, ...] = ()
    #: The methods for what browsers send.
    receives: tuple[str, ...] = ()
    #: Whether ``connect()`` turns away others than those who are not logged in.
    turns_away: bool = False
    #: What no handler may take for an answer, whether or not it was seen to read it.
    state: frozenset[str] = frozenset()
    #: By handler: what others leave in a connection besides.
    left_by_others: dict[str, frozenset[str]] = field(default_factory=dict)


@cache
def inspect_consumer(consumer: type) -> Findings:
    """Return what is lost of a consumer."""
    return _Inspection(consumer).findings()


class _Inspection:
    def __init__(self, consumer: type) -> None:
        self._consumer = consumer
        self._own = [one for one in consumer.__mro__ if not _is_channels(one)]
        channels = [one for one in consumer.__mro__ if _is_channels(one)]
        self._given = {name for one in channels for name in vars(one)} - {"groups"}
        self._made = _OF_CONNECTION | {"channel_layer", "base_send", "groups"}
        names = {name for one in self._own for name in vars(one)}
        self._methods = {name for name in names if self._definitions(name)}
        self._lifecycle = [name for name in self._methods & self._given if name != "__init__"]

    def findings(self) -> Findings:
        state, handlers = self._state(), list(self._handlers())
        left = {name: self._left_by_others(name, handlers) for name in handlers}
        readings = [one for name in handlers for one in self._readings(name, state | left[name])]
        return Findings(
            tuple(readings),
            tuple(self._receives()),
            self._turns_away(),
            frozenset((state | _OF_CONNECTION) - _GIVEN),
            {name: frozenset(names - _GIVEN) for name, names in left.items()},
        )

    def _definitions(self, name: str) -> list[FunctionType]:
        """Return the project's functions of a name: the one that counts, and those it hides."""
        found = [plain(vars(one)[name]) for one in self._own if name in vars(one)]
        return [one for one in found if one is not None]

    def _reach(self, name: str) -> Iterator[tuple[str, Body]]:
        """Yield what a method does, and all that it calls, each with its name."""
        waiting: list[tuple[str, FunctionType, str]] = []
        seen: set[tuple[FunctionType, str]] = set()

        def call(method: str, *, hidden: bool = False) -> None:
            classes = [one for one in self._own if method in vars(one)]
            for one in classes[1 if hidden else 0 :][:1]:
                waiting.extend((method, layer, "") for layer in layers(vars(one)[method]))

        call(name)
        while waiting:
            label, function, parameter = waiting.pop(0)
            if (function, parameter) in seen:
                continue
            seen.add((function, parameter))
            body = read(function, parameter)
            yield label, body
            for method in self._methods & body.reads.keys():
                call(method)
            for method in body.supers:
                call(method, hidden=True)
            waiting += [(helper.__name__, helper, taken) for helper, taken in body.helpers]

    def _state(self) -> set[str]:
        """Return the attributes in which a connection's life leaves something."""
        bodies = [body for name in self._lifecycle for _, body in self._reach(name)]
        state = {name for body in bodies for name in body.sets | body.changes}
        if any(body.sets_anything or "__dict__" in body.reads for body in bodies):
            state |= {name for one in self._own for name in vars(one) if _is_data(vars(one)[name])}
        return state

    def _left_by_others(self, handler: str, handlers: list[str]) -> set[str]:
        """Return what other handlers leave in a connection, and this one does not set itself."""
        own = {name for _, body in self._reach(handler) for name in body.sets}
        others = (body for one in handlers if one != handler for _, body in self._reach(one))
        return {name for body in others for name in body.sets | body.changes} - own

    def _handlers(self) -> Iterator[str]:
        others = self._methods - self._given
        helpers = {name for one in others for name in self._called_by(one) if name != one}
        first = {name for one in self._lifecycle for name in self._called_by(one)}
        for name in sorted(self._methods - self._given):
            member = inspect.getattr_static(self._consumer, name)
            if name.startswith("_") or isinstance(member, property | staticmethod | classmethod):
                continue
            parameter = _only_parameter(self._definitions(name)[0])
            # What connect() calls may be a handler all the same, for a first frame.
            if parameter and name not in helpers and (name not in first or parameter in _EVENTS):
                yield name

    def _called_by(self, method: str) -> Iterator[str]:
        return (name for one in self._definitions(method) for name in read(one).reads)

    def _readings(self, handler: str, state: set[str]) -> Iterator[Reading]:
        # A dispatch() of the project's own may keep events from handlers.
        reach = [*self._reach(handler), *self._reach("dispatch")]
        made = {name for _, body in (*reach, *self._reach("__init__")) for name in body.sets}
        found = set()
        for label, body in reach:
            for attribute, what in body.reads.items():
                unset = not self._exists(attribute) and attribute not in made
                if attribute in found or not (attribute in state | _OF_CONNECTION or unset):
                    continue
                found.add(attribute)
                yield Reading(handler, what, attribute, "" if label == handler else label)

    def _exists(self, attribute: str) -> bool:
        return attribute in self._made or hasattr(self._consumer, attribute)

    def _receives(self) -> Iterator[str]:
        for name in ("receive", "receive_json", "websocket_receive"):
            own = self._definitions(name)
            if own and not _only_answers_pings(read(own[0]).tree):
                yield name

    def _turns_away(self) -> bool:
        bodies = [
            body for name in ("connect", "websocket_connect") for _, body in self._reach(name)
        ]
        conditions = [
            test for body in bodies if body.tree for test in conditions_of_refusal(body.tree)
        ]
        return any(not _asks_only_for_a_login(test) for test in conditions)


def _is_channels(one: type) -> bool:
    return one is object or one.__module__.partition(".")[0] == "channels"


def _only_parameter(function: FunctionType) -> str | None:
    """Return the parameter of a function that takes just an event, besides its consumer."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    taken = [one for one in parameters if one.kind in kinds]
    if not taken:
        taken = [one for one in parameters if one.kind is inspect.Parameter.VAR_POSITIONAL]
    needed = [one for one in taken if one.default is one.empty]
    return taken[0].name if taken and len(needed) <= 1 else None


def _is_data(member: Any) -> bool:
    """Return whether a class has it for its instances to replace."""
    return not callable(member) and not hasattr(member, "__get__")


def _asks_only_for_a_login(test: ast.expr) -> bool:
    names = {getattr(one, "attr", getattr(one, "id", "")) for one in ast.walk(test)}
    return names - {""} <= _LOGGED_IN


def _only_answers_pings(tree: Any) -> bool:
    if tree is None:
        return False
    texts = {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant)}
    texts -= {ast.get_docstring(tree, clean=False)}
    said = {text for text in texts if isinstance(text, str)}
    return "ping" in said and said <= _PING
