"""An existing Channels project sends through the gateway: see ``newsroom``."""

import asyncio
import subprocess
import sys
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import close_old_connections, connection, transaction
from django.http import HttpResponse
from django.test import AsyncClient

from gatepost import Connection, GatewayError
from gatepost.backends import locmem
from gatepost.channels import GatepostChannelLayer, RenderError, channel_name
from gatepost.sending import piggyback
from newsroom import consumers, producers, routing

pytestmark = pytest.mark.django_db(transaction=True)

UUID_KEYS = django_settings.AUTH_USER_MODEL == "people.Person"
KEY = "5b3f0c52-6d3c-4a52-9d46-4a3f3c1f0a11" if UUID_KEYS else "7"
GROUP = f"user_{KEY}"
USER = {"user": KEY}

RENDER = {
    "user_*": "newsroom.consumers.NotificationConsumer",
    "dashboard": "newsroom.consumers.DashboardConsumer",
    "task_updates": consumers.TaskConsumer,
    "raw_*": consumers.RawConsumer,
    "rawsync_*": consumers.RawSyncConsumer,
    "admin_notifications": consumers.FeedConsumer.as_asgi(),
}
GROUPS = {
    "raw_*": "user:{}",
    "rawsync_*": "group:raw-{}",
    "admin_notifications": "group:admin_notifications",
    "task_updates": "group:task_updates",
}


@pytest.fixture
def use_layer(settings):
    """Makes Gatepost's the default layer, with a CONFIG."""
    settings.GATEPOST = {**settings.GATEPOST, "BACKEND": "gatepost.backends.locmem.Backend"}
    locmem.clear()

    def use_layer(**config):
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "gatepost.channels.GatepostChannelLayer",
                "CONFIG": config,
                "TEST_CONFIG": {**config, "STRICT": True},
            },
            "inner": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
        }
        return get_channel_layer()

    yield use_layer
    locmem.clear()


@pytest.fixture
def layer(use_layer):
    return use_layer(RENDER=RENDER, GROUPS=GROUPS)


@pytest.fixture
def strict(use_layer):
    return use_layer(RENDER=RENDER, GROUPS=GROUPS, STRICT=True)


def group_send(group, event):
    """The line of every producer."""
    async_to_sync(get_channel_layer().group_send)(group, event)


def asyncio_tell(user, message):
    asyncio.run(producers.atell(user, message))


def sent():
    return [(call.to, call.frame) for call in locmem.calls()]


def frames():
    return [call.frame for call in locmem.calls()]


def said(caplog):
    return [record.getMessage() for record in caplog.records]


# What consumers of the usual shapes send

SHAPES = {
    "async json, event['data']": (
        (GROUP, {"type": "send_notification", "data": {"a": [1, None], "ü": "é"}}),
        [(USER, '{"a": [1, null], "\\u00fc": "\\u00e9"}')],
    ),
    "a type with a dot": (
        (GROUP, {"type": "send.notification", "data": {}}),
        [(USER, "{}")],
    ),
    "async json, event['message']": (
        (GROUP, {"type": "notify", "message": "hello"}),
        [(USER, '{"type": "notification", "message": "hello"}')],
    ),
    "two frames": (
        (GROUP, {"type": "notify_twice", "data": 1, "count": 2}),
        [
            (USER, '{"type": "notification", "data": 1}'),
            (USER, '{"type": "unread_count", "count": 2}'),
        ],
    ),
    "a consumer that stops": (
        (GROUP, {"type": "account_deleted"}),
        [(USER, '{"type": "deleted"}')],
    ),
    "no frame": ((GROUP, {"type": "presence_changed", "online": False}), []),
    "sync json, event['payload'], a group of every connection": (
        ("dashboard", {"type": "stats_updated", "payload": {"n": 1}}),
        [({"everyone": True}, '{"event": "stats", "payload": {"n": 1}}')],
    ),
    "sync text": (
        ("task_updates", {"type": "task_progress", "percent": 40}),
        [({"group": "task_updates"}, '{"type": "progress", "percent": 40}')],
    ),
    "text that the producer made": (
        ("admin_notifications", {"type": "plain_text", "value": '{"n":1}'}),
        [({"group": "admin_notifications"}, '{"n":1}')],
    ),
    "the whole event": (
        ("admin_notifications", {"type": "feed.item", "id": 3}),
        [({"group": "admin_notifications"}, '{"type": "feed.item", "id": 3}')],
    ),
    # A call has one publication a line: line ends between JSON's tokens become spaces.
    "async text of several lines": (
        (
            "admin_notifications",
            {"type": "broadcast.message", "payload": {"title": "T", "body": "a\nb"}},
        ),
        [({"group": "admin_notifications"}, '{   "title": "T",   "body": "a\\nb" }')],
    ),
    "a raw dict, async": (
        (f"raw_{KEY}", {"type": "user.message", "payload": [1]}),
        [(USER, "[1]")],
    ),
    "a raw dict, sync": (
        ("rawsync_7", {"type": "user.message", "payload": {"x": "y"}}),
        [({"group": "raw-7"}, '{"x": "y"}')],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_consumer_writes_the_frames(strict, shape):
    (group, event), expected = SHAPES[shape]
    group_send(group, event)
    assert sent() == expected


def test_a_handler_that_closes_revokes(strict):
    group_send(GROUP, {"type": "force_logout"})
    group_send("task_updates", {"type": "task_done", "text": "[1]"})
    first, frame, last = locmem.calls()
    assert (first.who, first.code, first.reason) == (USER, 4001, "")
    assert (frame.to, frame.frame) == ({"group": "task_updates"}, "[1]")
    assert (last.who, last.code, last.reason) == ({"group": "task_updates"}, 1000, "")


def test_a_handler_reads_the_database_in_the_producers_transaction(strict, user):
    with transaction.atomic():
        get_user_model().objects.filter(pk=user.pk).update(username="anna")
        group_send(f"user_{user.pk}", {"type": "user_renamed", "user_id": user.pk})
        group_send("dashboard", {"type": "users_counted"})
    assert frames() == ['{"type": "user", "name": "anna"}', '{"users": 1}']


def test_a_handler_does_not_close_the_connection_that_a_producer_reads_from(
    strict, user, monkeypatch
):
    # A database in memory is never closed: this asks whether it would have been.
    closed = []
    monkeypatch.setattr(connection, "close", lambda: closed.append(connection.alias))
    connection.close_at = 0
    group_send(f"user_{user.pk}", {"type": "user_renamed", "user_id": user.pk})
    assert frames() == ['{"type": "user", "name": "ann"}']
    assert not closed
    assert connection.close_at == 0, "Django must close it at the end of the request, as ever"
    close_old_connections()
    assert closed
    connection.close_at = None


def test_a_handler_that_joins_a_group_is_told_that_it_cannot(layer, caplog):
    group_send(GROUP, {"type": "joins", "group": "others"})
    (line,) = said(caplog)
    assert line.startswith(
        f"nothing sent to group '{GROUP}': NotificationConsumer.joins() raised NotImplementedError:"
        " GatepostChannelLayer cannot group_add(): the gateway holds the sockets"
    )


def test_a_handler_leaves_the_producers_event_as_it_was(strict):
    event = {"type": "order_paid", "data": {"order": 5}}
    group_send(GROUP, event)
    assert event == {"type": "order_paid", "data": {"order": 5}}
    assert frames() == ['{"order": 5}']


def test_a_handler_may_pass_an_event_on_to_another_group(use_layer):
    use_layer(RENDER={"*": consumers.NotificationConsumer}, STRICT=True)
    group_send("relay", {"type": "forward", "to": "others", "data": {"n": 1}})
    assert sent() == [({"group": "others"}, '{"n": 1}')]


# What cannot be rendered says so, with the way out

NEEDS_A_CONNECTION = (
    "The gateway holds the connection, not this process. If the handler decides who may see the"
    " event, let the producer decide: notify(queryset, frame) instead of group_send(). If it is"
    " only what the frame says, put it into the event."
)
UNRENDERABLE = {
    "self.scope": (
        (GROUP, {"type": "chat_message", "sender": 1, "data": {}}),
        f"NotificationConsumer.chat_message() reads self.scope['user']. {NEEDS_A_CONNECTION}",
    ),
    "self.scope, where the handler catches everything": (
        (GROUP, {"type": "careful_message"}),
        f"NotificationConsumer.careful_message() reads self.scope['user']. {NEEDS_A_CONNECTION}",
    ),
    "what connect() sets": (
        (GROUP, {"type": "room_renamed", "name": "x"}),
        "NotificationConsumer.room_renamed() reads self.group_name, which only a connection has"
        f" (connect() sets it). {NEEDS_A_CONNECTION}",
    ),
    "no such handler": (
        (GROUP, {"type": "unheard.of"}),
        "NotificationConsumer has no handler unheard_of() for events of type 'unheard.of'. Name"
        " the consumer that has it in RENDER.",
    ),
    "no type": (
        (GROUP, {"message": "x"}),
        "the event has no usable 'type': Incoming message has no 'type' attribute",
    ),
    "bytes": (
        ("admin_notifications", {"type": "binary"}),
        "FeedConsumer.binary() sends bytes, but the gateway's frames are JSON texts.",
    ),
    "plain text": (
        ("admin_notifications", {"type": "plain_text", "value": "hello"}),
        "FeedConsumer.plain_text() sends a text that is not JSON (Expecting value: line 1 column 1"
        " (char 0)). The gateway's frames are JSON: let the handler use send_json() or"
        " json.dumps().",
    ),
    "NaN": (
        ("admin_notifications", {"type": "not_a_number"}),
        "FeedConsumer.not_a_number() sends a text that is not JSON (NaN is not JSON). The gateway's"
        " frames are JSON: let the handler use send_json() or json.dumps().",
    ),
    "a websocket.accept": (
        (f"raw_{KEY}", {"type": "websocket.connect"}),
        "RawConsumer.websocket_connect() sends 'websocket.accept', which is not a frame of an open"
        " WebSocket.",
    ),
}


@pytest.mark.parametrize("case", UNRENDERABLE)
def test_what_cannot_be_rendered_says_why_and_the_way_out(layer, caplog, case):
    (group, event), sentence = UNRENDERABLE[case]
    group_send(group, event)
    assert said(caplog) == [f"nothing sent to group {group!r}: {sentence}"]
    assert not locmem.calls()


@pytest.mark.parametrize("case", UNRENDERABLE)
def test_strict_raises_what_cannot_be_rendered(strict, case):
    (group, event), sentence = UNRENDERABLE[case]
    with pytest.raises(RenderError) as raised:
        group_send(group, event)
    assert str(raised.value) == sentence


def test_a_handler_that_raises_is_logged_with_its_traceback(layer, caplog):
    group_send(GROUP, {"type": "notify"})
    assert said(caplog) == [
        f"nothing sent to group '{GROUP}': NotificationConsumer.notify() raised KeyError: 'message'"
    ]
    assert caplog.records[0].levelname == "WARNING"
    assert isinstance(caplog.records[0].exc_info[1].__cause__, KeyError)


def test_strict_raises_what_a_handler_raises(strict):
    with pytest.raises(RenderError, match="raised KeyError: 'message'") as raised:
        group_send(GROUP, {"type": "notify"})
    assert isinstance(raised.value.__cause__, KeyError)


def test_half_of_what_a_failing_handler_sent_is_not_sent(layer):
    group_send(GROUP, {"type": "notify_twice", "data": 1})
    assert not locmem.calls()


# Names

GOOD_NAMES = ["a", "user_42", "chat.room-1", "x" * 99]
BAD_NAMES = ["user:42", "user_é", "a@b", "a b", "", "x" * 100, None, 42, "a!b"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_valid_group_name_is_taken(use_layer, name):
    use_layer(UNWRAP=[], STRICT=True)
    group_send(name, {"type": "x"})
    assert len(locmem.calls()) == 1


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_wrong_group_name_raises_as_in_every_layer(layer, name):
    with pytest.raises(TypeError, match="Group name must be a valid unicode string"):
        group_send(name, {"type": "x"})


def test_an_event_that_is_no_dict_raises(layer):
    with pytest.raises(TypeError, match="an event is a dict with a 'type', not str"):
        group_send(GROUP, "hello")


NOBODYS_KEY = {"user_updates", "user_4_2", "user_"}


@pytest.mark.parametrize("group", sorted(NOBODYS_KEY))
def test_what_is_no_key_of_a_user_is_a_group(use_layer, group):
    use_layer(UNWRAP=[])
    group_send(group, {"type": "x"})
    assert sent()[0][0] == {"group": group}


def test_a_group_that_looks_like_a_user_is_told_once_how_to_name_one(use_layer, caplog):
    use_layer(UNWRAP=[], GROUPS={"room_*": "group:room_{}", "chat_*": "group:chat_{}"})
    for group in (f"notif-{KEY}", f"notif-{KEY}", f"room_{KEY}", f"chat_5_{KEY}"):
        group_send(group, {"type": "x"})
    assert said(caplog) == [
        f"events of group 'notif-{KEY}' go to the gateway's group of that name. If it means the"
        f" user {KEY}, write 'notif-*': 'user:{{}}' into GROUPS in the CONFIG of"
        " GatepostChannelLayer; if not, 'notif-*': 'group:notif-{}'."
    ]
    assert len(locmem.calls()) == 4


@pytest.mark.parametrize("groups", [None, "project.views.groups_of"])
def test_a_group_that_connect_joins_is_told_once_unless_the_project_names_groups(
    use_layer, settings, caplog, groups
):
    use_layer(UNWRAP=[])
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": groups}
    for _ in range(2):
        group_send("notifications", {"type": "x"})
        group_send(f"chat_5_{KEY}", {"type": "x"})
    if groups:
        assert said(caplog) == []
        return
    first, _ = said(caplog)
    assert first == (
        "events of group 'notifications' go to the users in Django's group of that name, if there"
        " is one. If connect() joins some users to it, let GATEPOST['GROUPS'] say whom, or name"
        " them: notify(queryset, frame). If it joins every connection, write 'notifications':"
        " 'everyone' into GROUPS in the CONFIG of GatepostChannelLayer; if all is as it should be,"
        " 'notifications': 'group:notifications'."
    )


def test_hints_come_to_an_end(use_layer, caplog):
    use_layer(UNWRAP=[])
    for n in range(40):
        group_send(f"{chr(97 + n % 26)}{'x' * (n // 26)}_{KEY}", {"type": "x"})
    assert len(said(caplog)) == 20


def test_a_pattern_names_users_groups_or_everyone_and_the_first_that_fits_wins(use_layer):
    use_layer(
        GROUPS={
            "notif_user_*": "user:{}",
            "news": "everyone",
            "team_*_of_*": "group:{}/{}",
            "team_*": "group:staff",
            "user_*": None,
        },
        UNWRAP=[],
        STRICT=True,
    )
    for group in (f"notif_user_{KEY}", "news", "team_a_of_b", "team_a", GROUP, "xteam_a"):
        group_send(group, {"type": "x"})
    targets = [to for to, _ in sent()]
    assert targets == [
        USER,
        {"everyone": True},
        {"group": "a/b"},
        {"group": "staff"},
        {"group": "xteam_a"},
    ]


def test_a_pattern_that_names_a_user_who_cannot_be_is_reported(use_layer, caplog):
    use_layer(GROUPS={"mail_*": "user:{}"}, UNWRAP=[])
    group_send("mail_all", {"type": "x"})
    (line,) = said(caplog)
    assert line.startswith("nothing sent to group 'mail_all': 'all' is not a primary key of ")


# Without a consumer


@pytest.mark.parametrize(
    ("unwrap", "frame"),
    [
        ("data", '{"n":1}'),
        (["payload", "data"], '{"n":1}'),
        ("message", '{"type":"x","data":{"n":1}}'),
        ([], '{"type":"x","data":{"n":1}}'),
    ],
)
def test_unwrap_says_which_part_of_an_event_is_sent(use_layer, caplog, unwrap, frame):
    use_layer(UNWRAP=unwrap)
    group_send(GROUP, {"type": "x", "data": {"n": 1}})
    assert frames() == [frame]
    assert said(caplog) == []


def test_events_that_leave_as_they_are_without_having_been_asked_to_are_told_once(
    use_layer, caplog
):
    use_layer()
    for _ in range(3):
        group_send(GROUP, {"type": "x"})
    assert frames() == ['{"type":"x"}'] * 3
    (line,) = said(caplog)
    assert line.startswith("clients get the events of group_send() as they are")


def test_one_connection_is_reached_by_its_channel(strict):
    channel = channel_name(Connection("9f8e7d6c5b4a3921"))
    assert channel == channel_name("9f8e7d6c5b4a3921") == "specific.gw!9f8e7d6c5b4a3921"
    async_to_sync(strict.send)(channel, {"type": "notify", "message": "x"})
    assert sent()[0][0] == {"connection": "9f8e7d6c5b4a3921"}


def test_the_only_consumer_renders_for_a_connection(use_layer):
    layer = use_layer(RENDER={"user_*": consumers.NotificationConsumer}, STRICT=True)
    async_to_sync(layer.send)(channel_name("c1"), {"type": "notify", "message": "x"})
    assert sent() == [({"connection": "c1"}, '{"type": "notification", "message": "x"}')]


# Producers


@pytest.mark.urls("newsroom.urls")
@pytest.mark.usefixtures("strict")
class TestProducers:
    def test_a_view(self, user, log_in):
        assert log_in().get("/view/").content == b"told"
        assert frames() == ['{"message": "from a view"}']

    @pytest.mark.parametrize(
        ("path", "message"), [("/async-view/", "from an async view"), ("/view/", "from a view")]
    )
    def test_a_view_under_asgi(self, user, path, message):
        async def ask():
            client = AsyncClient()
            await sync_to_async(client.force_login)(user)
            return await client.get(path)

        assert asyncio.run(ask()).content == b"told"
        assert frames() == [f'{{"message": "{message}"}}']

    def test_asyncio_run_again_and_again(self, user):
        # Each is a loop of its own, which is what other layers trip over.
        for n in range(3):
            asyncio.run(producers.atell(user, n))
        assert frames() == [f'{{"message": {n}}}' for n in range(3)]

    def test_many_at_once_in_one_loop(self, user):
        async def tell_all():
            await asyncio.gather(*(producers.atell(user, n) for n in range(50)))

        asyncio.run(tell_all())
        assert sorted(frames()) == sorted(f'{{"message": {n}}}' for n in range(50))

    def test_threads(self, user):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: producers.tell(user, n), range(40)))
        assert sorted(frames()) == sorted(f'{{"message": {n}}}' for n in range(40))

    def test_a_management_command(self, user):
        call_command("tell", str(user.pk), "from a command")
        assert sent() == [({"user": str(user.pk)}, '{"message": "from a command"}')]

    def test_more_than_a_layers_capacity(self, user):
        # channels_redis and the in-memory layer lose what is beyond 100.
        for n in range(150):
            producers.tell(user, n)
        assert frames() == [f'{{"message": {n}}}' for n in range(150)]


class Rollback(Exception):
    pass


def test_what_is_rolled_back_is_not_sent(strict, user):
    with suppress(Rollback), transaction.atomic():
        producers.tell(user, "never")
        raise Rollback
    with transaction.atomic():
        producers.tell(user, 1)
        producers.tell_after_commit(user, 3)
        producers.tell(user, 2)
        assert not locmem.calls()
    assert sorted(frames()) == [f'{{"message": {n}}}' for n in (1, 2, 3)]


def test_all_of_a_transaction_is_one_call_to_the_gateway(gateway, settings, user):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "gatepost.channels.GatepostChannelLayer",
            "CONFIG": {"RENDER": RENDER},
        }
    }
    with transaction.atomic():
        for n in range(3):
            producers.tell(user, n)
    (call,) = gateway.calls
    assert [line["frame"] for line in call.lines] == [{"message": n} for n in range(3)]
    assert all(f'"frame":{{"message": {n}}}'.encode() in call.body for n in range(3))


@pytest.mark.parametrize("fail_silently", [True, False])
def test_a_gateway_that_is_away_is_logged_once_and_not_raised(settings, caplog, fail_silently):
    settings.GATEPOST = {
        **settings.GATEPOST,
        "URL": "unix:/nowhere/gatepost.sock",
        "FAIL_SILENTLY": fail_silently,
    }
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "gatepost.channels.GatepostChannelLayer",
            "CONFIG": {"RENDER": RENDER},
        }
    }
    group_send(GROUP, {"type": "notify", "message": "x"})
    (line,) = said(caplog)
    assert line.startswith("cannot reach the gateway at unix:/nowhere/gatepost.sock")


def test_strict_raises_a_failure_that_gatepost_does_not_keep_silent(settings):
    settings.GATEPOST = {
        **settings.GATEPOST,
        "URL": "unix:/nowhere/gatepost.sock",
        "FAIL_SILENTLY": False,
    }
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "gatepost.channels.GatepostChannelLayer",
            "CONFIG": {"RENDER": RENDER, "STRICT": True},
        }
    }
    with pytest.raises(GatewayError, match="cannot reach the gateway"):
        group_send(GROUP, {"type": "notify", "message": "x"})


@pytest.mark.parametrize("tell", [producers.tell, asyncio_tell])
def test_what_a_request_sends_rides_on_its_response(settings, user, tell):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "gatepost.channels.GatepostChannelLayer",
            "CONFIG": {"RENDER": RENDER, "STRICT": True},
        }
    }
    with piggyback.collecting() as collected:
        tell(user, "x")
        response = HttpResponse()
        assert collected.attach(response) == []
    said = urlsafe_b64decode(response["Gatepost-Publish"] + "==").decode()
    assert '"frame":{"message": "x"}' in said


# FALLBACK, and what needs one


@pytest.fixture
def inner(use_layer):
    use_layer(RENDER={"user_*": consumers.NotificationConsumer}, FALLBACK="inner")
    return channel_layers["inner"]


def test_other_consumers_keep_working_through_the_fallback(inner):
    async def chat():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("chat_lobby", channel)
        await layer.group_send("chat_lobby", {"type": "chat.message", "text": "hi"})
        got = [await layer.receive(channel)]
        await layer.send(channel, {"type": "direct"})
        got.append(await layer.receive(channel))
        await layer.group_discard("chat_lobby", channel)
        await layer.group_send("chat_lobby", {"type": "chat.message", "text": "nobody"})
        await layer.close()
        return got

    assert asyncio.run(chat()) == [{"type": "chat.message", "text": "hi"}, {"type": "direct"}]
    # A fallback's own group is nobody's at the gateway.
    assert not locmem.calls()


def test_a_consumer_that_stays_in_channels_works_through_the_fallback(inner):
    async def run():
        scope = {"type": "websocket", "path": "/ws/tasks/", "headers": []}
        socket = ApplicationCommunicator(routing.application, scope)
        await socket.send_input({"type": "websocket.connect"})
        accepted = await socket.receive_output()
        await get_channel_layer().group_send(
            "task_updates", {"type": "task.progress", "percent": 9}
        )
        got = await socket.receive_output()
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()
        return accepted["type"], got["text"]

    assert asyncio.run(run()) == ("websocket.accept", '{"type": "progress", "percent": 9}')
    assert not locmem.calls()


def test_a_group_of_both_reaches_both(inner):
    async def notify():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        await layer.group_send(GROUP, {"type": "notify", "message": "x"})
        return await layer.receive(channel)

    assert asyncio.run(notify()) == {"type": "notify", "message": "x"}
    assert sent() == [(USER, '{"type": "notification", "message": "x"}')]


def test_a_fallback_that_fails_does_not_keep_frames_from_the_gateway(inner, caplog, monkeypatch):
    async def fail(group, message):
        raise ConnectionError("no Redis")

    monkeypatch.setattr(inner, "group_send", fail)
    group_send(GROUP, {"type": "notify", "message": "x"})
    assert len(locmem.calls()) == 1
    assert said(caplog) == [
        f"nothing sent to group '{GROUP}' through 'inner': ConnectionError: no Redis"
    ]


NEED_A_FALLBACK = {
    "new_channel()": lambda layer: layer.new_channel(),
    "receive()": lambda layer: layer.receive("specific.x!y"),
    "group_add()": lambda layer: layer.group_add("chat", "specific.x!y"),
    "group_discard()": lambda layer: layer.group_discard("chat", "specific.x!y"),
    "send('thumbnails')": lambda layer: layer.send("thumbnails", {"type": "make"}),
}


@pytest.mark.parametrize("what", NEED_A_FALLBACK)
def test_what_needs_a_consumer_says_what_to_do(layer, what):
    with pytest.raises(NotImplementedError) as raised:
        asyncio.run(NEED_A_FALLBACK[what](layer))
    assert str(raised.value) == (
        f"GatepostChannelLayer cannot {what}: the gateway holds the sockets, so no consumer runs"
        " behind it. Take the paths that the gateway serves out of the ASGI routing; for consumers"
        " that stay in Channels, name the alias of their own layer in CONFIG['FALLBACK']."
    )


# Configuration


def test_the_extensions_are_named(layer):
    assert set(layer.extensions) == {"groups", "flush"}


def test_flush_forgets_what_a_test_sent(inner):
    async def run():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "x"})
        await layer.group_send(GROUP, {"type": "notify", "message": "x"})
        await layer.flush()

    asyncio.run(run())
    assert not locmem.calls()
    assert not inner.channels


def test_test_config_makes_a_layer_of_its_own(layer):
    with pytest.raises(RenderError):
        async_to_sync(channel_layers.make_test_backend("default").group_send)(GROUP, {})
    group_send(GROUP, {})


def test_what_other_layers_take_is_taken():
    layer = GatepostChannelLayer(capacity=1, expiry=10, channel_capacity={"x": 1})
    assert layer.capacity == 1


WRONG = {
    "CONFIG of GatepostChannelLayer has no hosts. It takes RENDER, GROUPS, UNWRAP, FALLBACK and"
    " STRICT; where the gateway is, GATEPOST['URL'] says.": {"hosts": [("127.0.0.1", 6379)]},
    "CONFIG['FALLBACK'] names 'redis', which CHANNEL_LAYERS does not have": {"FALLBACK": "redis"},
    "CONFIG['RENDER'] of the channel layer must map group names, such as 'user_*'": {
        "RENDER": "newsroom.consumers.NotificationConsumer"
    },
    "CONFIG['RENDER']['user_*'] of the channel layer must be a consumer class or the dotted path"
    " to one, not None": {"RENDER": {"user_*": None}},
    "CONFIG['GROUPS']['user_*'] of the channel layer must be 'user:{}', 'group:{}', 'topic:{}',"
    " 'everyone' or None, with one {} for each * of the pattern, not 'users:{}'": {
        "GROUPS": {"user_*": "users:{}"}
    },
    "CONFIG['GROUPS']['staff'] of the channel layer must be 'user:{}', 'group:{}', 'topic:{}',"
    " 'everyone' or None, with one {} for each * of the pattern, not 'user:{}'": {
        "GROUPS": {"staff": "user:{}"}
    },
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_wrong_config_says_what_is_wrong(use_layer, sentence):
    with pytest.raises(ImproperlyConfigured) as raised:
        use_layer(**WRONG[sentence])
    assert str(raised.value) == sentence


def test_a_consumer_that_cannot_be_imported_is_named(use_layer, caplog):
    use_layer(RENDER={"user_*": "newsroom.consumers.Missing"})
    group_send(GROUP, {"type": "notify", "message": "x"})
    (line,) = said(caplog)
    assert (
        "CONFIG['RENDER']['user_*'] of the channel layer names 'newsroom.consumers.Missing'" in line
    )
    assert "cannot be imported" in line


def test_a_layer_cannot_fall_back_on_itself(use_layer):
    layer = use_layer(FALLBACK="default")
    with pytest.raises(ImproperlyConfigured, match="must name another channel layer"):
        asyncio.run(layer.new_channel())


def test_without_channels_the_module_explains_itself():
    code = (
        "import sys\n"
        "sys.modules['channels'] = None\n"
        "try:\n"
        "    import gatepost.channels\n"
        "except ImportError as error:\n"
        "    print(error.name, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "channels gatepost.channels is a channel layer for Django Channels" in ran.stdout
    assert 'pip install "gatepost[channels]"' in ran.stdout
