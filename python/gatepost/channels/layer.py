"""The layer that Channels calls: a group's event becomes frames for the gateway's sockets.

``channels.layers`` makes it from ``CHANNEL_LAYERS``. The surprise: it is half a layer. No consumer
can receive from it, since the gateway holds the sockets; what a consumer of the project's own
needs (``group_add``, ``receive``) goes to the layer that ``FALLBACK`` names, or says why not.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer, channel_layers
from django.core.exceptions import ImproperlyConfigured

from gatepost.backends import locmem
from gatepost.channels import names
from gatepost.channels.hints import Hints
from gatepost.channels.rendering import Close, HandlerError, RenderError, render
from gatepost.sending import frames
from gatepost.sending.calls import Call, Publication, Revocation
from gatepost.sending.client import GatewayError
from gatepost.sending.commit import after_commit
from gatepost.sending.targets import Group, audience

logger = logging.getLogger("gatepost")

#: Said once, since a project that only changed the BACKEND would wonder what its clients get.
RAW_EVENTS = (
    "clients get the events of group_send() as they are, not what a consumer makes of them: name"
    " the consumer in RENDER in the CONFIG of GatepostChannelLayer. Where its handler decides who"
    " may see an event, let the producer decide: notify(queryset, frame)"
)

#: Errors that say what to do, so that their traceback would say less.
_SENTENCES = (RenderError, ImproperlyConfigured, NotImplementedError, ValueError)


class GatepostChannelLayer(BaseChannelLayer):
    """``CHANNEL_LAYERS = {"default": {"BACKEND": "gatepost.channels.GatepostChannelLayer"}}``.

    Its CONFIG: ``RENDER`` maps groups to the consumers whose handlers write the frames, ``GROUPS``
    maps groups to users, groups or everyone, ``UNWRAP`` names the keys of an event that are sent
    where no consumer is named, ``FALLBACK`` is the alias of a layer for everything else, and
    ``STRICT`` raises what is otherwise logged. What Channels' own layers take is taken and not
    needed: nothing waits here, so nothing expires or overflows.
    """

    extensions = ("groups", "flush")

    def __init__(  # noqa: PLR0913 - the keys of CONFIG, all by keyword
        self,
        *,
        RENDER: Mapping[str, Any] | None = None,  # noqa: N803 - written as in settings
        GROUPS: Mapping[str, str | None] | None = None,  # noqa: N803
        UNWRAP: str | Sequence[str] | None = None,  # noqa: N803
        FALLBACK: str | None = None,  # noqa: N803
        STRICT: bool = False,  # noqa: N803
        **base: Any,
    ) -> None:
        unknown = sorted(base.keys() - {"expiry", "capacity", "channel_capacity"})
        if unknown:
            raise ImproperlyConfigured(
                f"CONFIG of GatepostChannelLayer has no {', '.join(unknown)}. It takes RENDER,"
                " GROUPS, UNWRAP, FALLBACK and STRICT; where the gateway is, GATEPOST['URL'] says."
            )
        super().__init__(**base)
        self._consumers = names.Consumers(RENDER)
        self._targets = names.Targets(GROUPS)
        self._unwrap = [UNWRAP] if isinstance(UNWRAP, str) else UNWRAP
        if FALLBACK is not None and FALLBACK not in channel_layers:
            raise ImproperlyConfigured(
                f"CONFIG['FALLBACK'] names {FALLBACK!r}, which CHANNEL_LAYERS does not have"
            )
        self._fallback = FALLBACK
        self._strict = STRICT
        self._warned = False
        self._hints = Hints()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send an event to a group's members; only a wrong name raises, unless STRICT."""
        self._require_name("group", group)
        _require_dict(message)
        # A fallback's own groups must not reach the gateway's sockets: these have to be named.
        ours = self._consumers.names(group) or self._targets.names(group)
        if ours or self._fallback is None:
            await self._attempt(f"group {group!r}", self._to_group(group, message))
        if self._fallback is not None:
            # To both: while a project moves, its clients are at either.
            through = f"group {group!r} through {self._fallback!r}"
            await self._attempt(through, self._inner("group_send()").group_send(group, message))

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send an event to one connection, whose channel ``channel_name()`` gives."""
        self._require_name("channel", channel)
        _require_dict(message)
        connection = names.connection_of(channel)
        if connection is None:
            await self._inner(f"send({channel!r})").send(channel, message)
            return
        consumer = self._consumers.find(channel) or self._consumers.only()
        sent = self._deliver(connection, consumer, message)
        await self._attempt(f"channel {channel!r}", sent)

    def _require_name(self, kind: str, name: str) -> None:
        # The first Channels 4 has only the second, which later became deprecated.
        required = f"require_valid_{kind}_name"
        getattr(self, required if hasattr(self, required) else f"valid_{kind}_name")(name)

    async def _to_group(self, group: str, message: dict[str, Any]) -> None:
        consumer = self._consumers.find(group)
        target = self._targets.find(group, consumer)
        if isinstance(target, Group) and not self._targets.names(group):
            self._hints.about(group)
        if target is not None:
            await self._deliver(target, consumer, message)

    async def _deliver(self, target: Any, consumer: type | None, message: dict[str, Any]) -> None:
        written: Sequence[str | Close] = (
            [frames.frame(self._unwrapped(message))]
            if consumer is None
            else await render(consumer, message, self)
        )
        to = audience(target)
        calls = [_call(to, one) for one in written] if to is not None else []
        # In the producer's own thread, whose transaction and request it belongs to.
        await sync_to_async(_hand_over)(calls)

    def _unwrapped(self, message: dict[str, Any]) -> Any:
        if self._unwrap is None and not self._warned:
            self._warned = True
            logger.warning(RAW_EVENTS)
        for key in self._unwrap or ():
            if key in message:
                return message[key]
        return message

    async def _attempt(self, what: str, sending: Any) -> None:
        try:
            await sending
        except Exception as error:
            if self._strict:
                raise
            # Channels' producers do not expect group_send to raise; the log must tell instead.
            if isinstance(error, GatewayError):
                return  # The backend has logged it.
            known = isinstance(error, _SENTENCES)
            said = str(error) if known else f"{type(error).__name__}: {error}"
            trace = not known or isinstance(error, HandlerError)
            logger.warning("nothing sent to %s: %s", what, said, exc_info=trace)

    # What only a layer with consumers behind it can do

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel of the fallback."""
        return str(await self._inner("new_channel()").new_channel(prefix))

    async def receive(self, channel: str) -> dict[str, Any]:
        """Wait for an event of the fallback."""
        event: dict[str, Any] = await self._inner("receive()").receive(channel)
        return event

    async def group_add(self, group: str, channel: str) -> None:
        """Add a consumer to a group of the fallback."""
        await self._inner("group_add()").group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a consumer from a group of the fallback."""
        await self._inner("group_discard()").group_discard(group, channel)

    async def flush(self) -> None:
        """Forget what a test has sent."""
        locmem.clear()
        if self._fallback is not None:
            await self._inner("flush()").flush()

    async def close(self) -> None:
        """Close the fallback's connections."""
        if self._fallback is not None:
            await _close(self._inner("close()"))

    async def close_pools(self) -> None:
        """Close the fallback's connections, as channels_redis spells it."""
        await self.close()

    def _inner(self, wanted: str) -> Any:
        """Return the fallback; raise where there is none, or it is this very layer."""
        if self._fallback is None:
            raise NotImplementedError(
                f"GatepostChannelLayer cannot {wanted}: the gateway holds the sockets, so no"
                " consumer runs behind it. Take the paths that the gateway serves out of the ASGI"
                " routing; for consumers that stay in Channels, name the alias of their own layer"
                " in CONFIG['FALLBACK']."
            )
        inner = channel_layers[self._fallback]
        if inner is self:
            raise ImproperlyConfigured("CONFIG['FALLBACK'] must name another channel layer")
        return inner


async def _close(layer: Any) -> None:
    for name in ("close_pools", "close"):
        if hasattr(layer, name):
            await getattr(layer, name)()
            return


def _call(to: dict[str, Any], written: str | Close) -> Call:
    if isinstance(written, Close):
        if "topic" in to:
            raise RenderError(
                "a handler closes its connection, which no event of a topic can do: end the"
                " subscriptions by revoke(Topic(…)) instead"
            )
        return Revocation(to, written.reason, written.code)
    return Publication(to, written, uuid.uuid4().hex)


def _hand_over(calls: list[Call]) -> None:
    for call in calls:
        after_commit(call)


def _require_dict(message: Any) -> None:
    if not isinstance(message, dict):
        raise TypeError(f"an event is a dict with a 'type', not {type(message).__name__}")
