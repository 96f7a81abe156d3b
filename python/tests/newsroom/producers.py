"""Producers as public projects write them: nothing here knows of Gatepost."""

from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.contrib import auth
from django.db import transaction
from django.http import HttpResponse


def tell(user, message):
    channel_layer = get_channel_layer()
    async_to_sync(channel_layer.group_send)(
        f"user_{user.pk}", {"type": "send_notification", "data": {"message": message}}
    )


async def atell(user, message):
    await get_channel_layer().group_send(
        f"user_{user.pk}", {"type": "send.notification", "data": {"message": message}}
    )


def tell_after_commit(user, message):
    transaction.on_commit(lambda: tell(user, message))


def view(request):
    tell(request.user, "from a view")
    return HttpResponse("told")


async def async_view(request):
    user = await sync_to_async(auth.get_user)(request)
    await atell(user, "from an async view")
    return HttpResponse("told")
