"""Consumers that decide per connection, as public projects write them."""

from functools import partialmethod, wraps

from channels.db import database_sync_to_async
from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.utils.functional import cached_property


def is_owner(consumer, event):
    return consumer.scope["user"].pk == event["owner"]


class Base(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.remember()
        await self.accept()

    async def remember(self):
        self.user = self.scope["user"]

    def may_see(self, event):
        return self.user.pk == event["owner"]


class OneBranch(AsyncJsonWebsocketConsumer):
    async def document(self, event):
        if event["private"] and event["owner"] != self.scope.get("user").pk:
            return
        await self.send_json(event["data"])


class ByHelper(Base):
    async def document(self, event):
        if self.may_see(event):
            await self.send_json(event["data"])


class BySuper(ByHelper):
    async def document(self, event):
        await super().document(event)


class ByFunction(AsyncJsonWebsocketConsumer):
    async def document(self, event):
        if is_owner(self, event):
            await self.send_json(event["data"])


class ByDecorated(AsyncJsonWebsocketConsumer):
    @database_sync_to_async
    def may_see(self, event):
        return self.scope["user"].has_perm("see")

    async def document(self, event):
        if await self.may_see(event):
            await self.send_json(event["data"])


class ByProperty(AsyncJsonWebsocketConsumer):
    @cached_property
    def language(self):
        return self.scope["session"]["language"]

    async def document(self, event):
        await self.send_json({"lang": self.language})


class ByDefault(AsyncJsonWebsocketConsumer):
    """None means everything, until connect() knows better."""

    only = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.muted = set()

    async def connect(self):
        self.only = self.scope["user"].pk
        await self.accept()

    async def receive_json(self, content, **kwargs):
        self.muted.add(content["mute"])

    async def document(self, event):
        if self.only in (None, event["owner"]):
            await self.send_json(event["data"])

    async def said(self, event):
        if event["by"] not in self.muted:
            await self.send_json(event["data"])


class ByGetattr(AsyncJsonWebsocketConsumer):
    async def connect(self):
        setattr(self, "user", self.scope["user"].pk)  # noqa: B010 - as it may be written
        await self.accept()

    async def document(self, event):
        me = self
        if getattr(me, "user", None) in (None, event["owner"]):
            await self.send_json(event["data"])


class ByChannelName(JsonWebsocketConsumer):
    def document(self, event):
        if event["sender"] != self.channel_name:
            self.send_json(event["data"])


# What the source of a handler hardly shows; without a connection `user` would be everybody's None.


class Guarded(AsyncJsonWebsocketConsumer):
    user = None

    async def connect(self):
        self.user = self.scope["user"].pk
        await self.accept()

    def _may_see(self, event):
        return self.user in (None, event["owner"])


def is_for(consumer, event):
    return consumer.user in (None, event["owner"])


class ByKeyword(Guarded):
    async def document(self, event):
        if is_for(event=event, consumer=self):
            await self.send_json(event["data"])


def only_for_owners(handler):
    @wraps(handler)
    async def decide(self, event):
        if is_for(self, event):
            await handler(self, event)

    return decide


class ByDecorator(Guarded):
    @only_for_owners
    async def document(self, event):
        await self.send_json(event["data"])


class ByOtherNames(Guarded):
    async def document(self, event):
        me, said = self, event
        you: Guarded = me
        if (he := you) and he.user in (None, said["owner"]):
            await self.send_json(said["data"])


class ByArguments(Guarded):
    async def document(self, *events):
        if self._may_see(*events):
            await self.send_json(events[0]["data"])


class ByLambda(JsonWebsocketConsumer):
    user = None

    def connect(self):
        self.user = self.scope["user"].pk
        self.accept()

    document = lambda self, event: self.user or self.send_json(event["data"])  # noqa: E731


class ByPart(Guarded):
    async def _decide(self, event, *, strict=False):
        if self._may_see(event) and not strict:
            await self.send_json(event["data"])

    document = partialmethod(_decide, strict=False)


class ByVars(Guarded):
    async def document(self, event):
        if vars(self).get("user") in (None, event["owner"]):
            await self.send_json(event["data"])


class ByAnything(AsyncJsonWebsocketConsumer):
    user = None

    async def connect(self):
        for name in ("user", "session"):
            setattr(self, name, self.scope[name])
        await self.accept()

    async def document(self, event):
        if self.user in (None, event["owner"]):
            await self.send_json(event["data"])


class ByObject(AsyncJsonWebsocketConsumer):
    known = type("Known", (), {"user": None})()

    async def connect(self):
        self.known.user = self.scope["user"].pk
        await self.accept()

    async def document(self, event):
        if self.known.user in (None, event["owner"]):
            await self.send_json(event["data"])


class ByAnotherHandler(AsyncJsonWebsocketConsumer):
    muted = False

    async def mute(self, event):
        self.muted = True

    async def document(self, event):
        if not self.muted:
            await self.send_json(event["data"])


class ByDispatch(Guarded):
    async def dispatch(self, message):
        if message["type"] != "document" or self._may_see(message):
            await super().dispatch(message)

    async def document(self, event):
        await self.send_json(event["data"])


class ByLoop(Guarded):
    """Nothing in the source tells that the one in the list is the consumer."""

    async def document(self, event):
        if all(one.user in (None, event["owner"]) for one in [self]):
            await self.send_json(event["data"])


class Members(JsonWebsocketConsumer):
    groups = ["members"]

    def connect(self):
        user = self.scope["user"]
        if not user.is_authenticated:
            self.close()
        elif not user.is_staff:
            raise DenyConnection
        else:
            self.accept()

    def document(self, event):
        self.send_json(event["data"])


class Harmless(AsyncJsonWebsocketConsumer):
    """Needs no connection for what it sends."""

    template = "news"

    async def connect(self):
        if self.scope["user"].is_anonymous:
            await self.close()
            return
        self.group = f"user_{self.scope['user'].pk}"
        await self.join(self.group)
        await self.accept()

    async def join(self, name):
        await self.channel_layer.group_add(name, self.channel_name)

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content, **kwargs):
        """Keep it open."""
        if content.get("type") == "ping":
            await self.send_json({"type": "pong"})

    async def dispatch(self, message):
        """Count what comes."""
        await super().dispatch(message)

    async def document(self, event):
        self.last = self.frame(event)
        await self.send_json(self.last)

    async def forget(self, event):
        self.last = None

    def frame(self, event):
        return {"type": self.template, "data": event["data"]}
