"""Consumers as public projects write them: nothing here knows of Gatepost."""

import json

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from django.contrib.auth import get_user_model


class NotificationConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.user = self.scope["user"]
        if self.user.is_anonymous:
            await self.close()
            return
        self.group_name = f"user_{self.user.pk}"
        await self.channel_layer.group_add(self.group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        if hasattr(self, "group_name"):
            await self.channel_layer.group_discard(self.group_name, self.channel_name)

    async def receive_json(self, content, **kwargs):
        if content.get("type") == "ping":
            await self.send_json({"type": "pong"})

    async def send_notification(self, event):
        await self.send_json(event["data"])

    async def notify(self, event):
        await self.send_json({"type": "notification", "message": event["message"]})

    async def notify_twice(self, event):
        await self.send_json({"type": "notification", "data": event["data"]})
        await self.send_json({"type": "unread_count", "count": event["count"]})

    async def presence_changed(self, event):
        if event["online"]:
            await self.send_json({"type": "online"})

    async def room_renamed(self, event):
        await self.send_json({"room": self.group_name, "name": event["name"]})

    async def chat_message(self, event):
        if event["sender"] != self.scope["user"].pk:
            await self.send_json(event["data"])

    async def careful_message(self, event):
        try:
            await self.send_json({"me": self.scope.get("user")})
        except Exception:
            self.failed = True

    async def account_deleted(self, event):
        await self.send_json({"type": "deleted"})
        raise StopConsumer

    async def joins(self, event):
        await self.channel_layer.group_add(event["group"], "specific.x!y")

    async def order_paid(self, event):
        event["data"]["seen"] = True
        await self.send_json({"order": event["data"]["order"]})

    async def force_logout(self, event):
        await self.close(code=4001)

    async def user_renamed(self, event):
        await self.send_json({"type": "user", "name": await self.name_of(event["user_id"])})

    @database_sync_to_async
    def name_of(self, user_id):
        return get_user_model().objects.get(pk=user_id).username

    async def forward(self, event):
        await self.channel_layer.group_send(
            event["to"], {"type": "send_notification", "data": event["data"]}
        )


class DashboardConsumer(JsonWebsocketConsumer):
    groups = ["dashboard"]

    def connect(self):
        self.accept()

    def stats_updated(self, event):
        self.send_json({"event": "stats", "payload": event["payload"]})

    def users_counted(self, event):
        self.send_json({"users": get_user_model().objects.count()})


class TaskConsumer(WebsocketConsumer):
    def connect(self):
        async_to_sync(self.channel_layer.group_add)("task_updates", self.channel_name)
        self.accept()

    def task_progress(self, event):
        self.send(text_data=json.dumps({"type": "progress", "percent": event["percent"]}))

    def task_done(self, event):
        self.send(text_data=event["text"], close=True)


class FeedConsumer(AsyncWebsocketConsumer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = None

    async def connect(self):
        await self.channel_layer.group_add("admin_notifications", self.channel_name)
        await self.accept()

    async def broadcast_message(self, event):
        payload = event["payload"]
        await self.send(
            text_data=json.dumps({"title": payload["title"], "body": payload["body"]}, indent=2)
        )

    async def plain_text(self, event):
        await self.send(event.get("value"))

    async def feed_item(self, event):
        await self.send(text_data=json.dumps(event))

    async def binary(self, event):
        await self.send(bytes_data=b"\x00\x01")

    async def not_a_number(self, event):
        await self.send(text_data=json.dumps({"value": float("nan")}))


class RawConsumer(AsyncConsumer):
    async def websocket_connect(self, event):
        await self.send({"type": "websocket.accept"})

    async def user_message(self, event):
        await self.send({"type": "websocket.send", "text": json.dumps(event["payload"])})


class RawSyncConsumer(SyncConsumer):
    def websocket_connect(self, event):
        self.send({"type": "websocket.accept"})

    def user_message(self, event):
        self.send({"type": "websocket.send", "text": json.dumps(event["payload"])})
