"""An unchanged Channels project, the real gateway, and what its browsers get.

What Channels itself would have sent is asked of Channels: the same consumer and the same producer
run on its own in-memory layer first.
"""

import asyncio
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings as django_settings
from django.test import Client

from gatepost.channels import channel_name
from gatepost.sending import operations
from newsroom import consumers, producers
from newsroom import settings as newsroom

HERE = Path(__file__).parent
MESSAGE = {"title": "Grüße, 你好 🎉", "n": [1.5, None, True], "html": "<b>&amp;</b>\n"}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

pytestmark = pytest.mark.urls("newsroom.urls")


@pytest.fixture
def browser(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def channels_text(settings, user):
    """The text that Channels sends for MESSAGE."""

    async def run():
        scope = {"type": "websocket", "path": "/ws/notifications/", "user": user}
        socket = ApplicationCommunicator(consumers.NotificationConsumer.as_asgi(), scope)
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output())["type"] == "websocket.accept"
        await producers.atell(user, MESSAGE)
        sent = await socket.receive_output()
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()
        return sent["text"]

    settings.CHANNEL_LAYERS = IN_MEMORY
    text = asyncio.run(run())
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    return text


def test_a_browser_gets_exactly_what_the_consumer_would_have_sent(
    channels_text, live_gateway, user, browser
):
    with live_gateway.connect(client=browser) as socket:
        producers.tell(user, MESSAGE)
        asyncio.run(producers.atell(user, MESSAGE))
        assert [socket.receive_text(), socket.receive_text()] == [channels_text] * 2


def test_a_view_behind_the_gateway_reaches_the_browser(live_gateway, settings, user, browser):
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    request = urllib.request.Request(f"{live_gateway.url}/view/")
    request.add_header("Cookie", f"sessionid={browser.cookies['sessionid'].value}")
    with live_gateway.connect(client=browser) as socket:
        with urllib.request.urlopen(request, context=live_gateway.ssl_context()) as answer:
            assert answer.read() == b"told"
        assert socket.receive_text() == '{"message": "from a view"}'


def test_more_than_a_layers_capacity_arrives_in_order(live_gateway, settings, user, browser):
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    with live_gateway.connect(client=browser) as socket:
        for n in range(150):
            producers.tell(user, n)
        assert socket.frames() == [{"message": n} for n in range(150)]


def test_a_management_command_in_a_process_of_its_own(live_gateway, user, browser):
    with live_gateway.connect(client=browser) as socket:
        subprocess.run(
            [sys.executable, "-m", "django", "tell", str(user.pk), "from a command"],
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{HERE.parent}:{HERE}",
                "DJANGO_SETTINGS_MODULE": "newsroom.settings",
                "GATEPOST_SECRET": django_settings.GATEPOST["SECRET"],
                "NEWSROOM_GATEWAY": live_gateway.internal_url,
            },
        )
        assert socket.receive_text() == '{"message": "from a command"}'


def test_one_connection_is_reached_by_its_channel(live_gateway, settings, user, browser):
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    send = producers.async_to_sync(producers.get_channel_layer().send)
    with (
        live_gateway.connect(client=browser) as first,
        live_gateway.connect(client=browser) as second,
    ):
        oldest, _ = operations.connections(str(user.pk))
        send(channel_name(oldest["connection"]), {"type": "notify", "message": "you"})
        assert [first.frames(), second.frames()].count([]) == 1


def test_a_consumer_that_closes_ends_the_browsers_sockets(live_gateway, settings, user, browser):
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    group_send = producers.async_to_sync(producers.get_channel_layer().group_send)
    with live_gateway.connect(client=browser) as socket:
        group_send(f"user_{user.pk}", {"type": "force_logout"})
        assert socket.closed() == (4001, "")
