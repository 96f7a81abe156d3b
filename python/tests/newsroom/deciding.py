"""Consumers that decide per connection, as public projects write them."""

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

    async def document(self, event):
        self.last = self.frame(event)
        await self.send_json(self.last)

    def frame(self, event):
        return {"type": self.template, "data": event["data"]}
