"""Topics as targets: what they are called, and that they go wherever a group may go."""

import json
import time
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from channels.layers import channel_layers
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import models, transaction
from django.http import HttpResponse
from django.utils.functional import SimpleLazyObject, lazystr
from test_commands import answers
from test_commands import run as command
from through import Through, run
from through import riding as rode

import fakes
from gatepost import Everyone, GatewayError, Group, Topic, anotify, aonline, notify, online, revoke
from gatepost.outbox import pages
from gatepost.outbox.models import Item
from gatepost.sending import operations
from gatepost.sending.targets import audience
from gatepost.testing import assertNotified, assertNotNotified, assertRevoked, outbox, recorded
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

#: A key that quoting changes, and what it becomes.
ODD_KEY, QUOTED = "a b/c,d:é~", "a%20b%2Fc%2Cd%3A%C3%A9~"


class Named(models.Model):
    code = models.CharField(max_length=50, primary_key=True)

    class Meta:
        app_label = "shop"
        managed = False


class ProxyOfNote(Note):
    class Meta:
        app_label = "shop"
        proxy = True


def stored(model, **values):
    """Return an object as the database would give it."""
    made = model(**values)
    made._state.adding = False
    return made


@pytest.fixture
def note():
    return Note.objects.create()


@pytest.fixture
def name(note):
    return f"people.note:{note.pk}"


# Names


def test_an_object_is_named_by_its_model_and_its_key(note, name, user):
    assert audience(Topic(note)) == {"topic": name}
    assert Topic(SimpleLazyObject(lambda: user)) == Topic(user)
    assert str(Topic(user)) == f"{user._meta.label_lower}:{user.pk}"


def test_a_proxy_is_the_model_itself(note, name):
    assert Topic(ProxyOfNote.objects.get(pk=note.pk)).name == name


def test_a_key_is_quoted_as_in_urls():
    assert Topic(stored(Named, code=ODD_KEY)).name == f"shop.named:{QUOTED}"


def test_a_key_is_spelled_as_the_database_has_it():
    assert Topic(stored(Note, pk="017")).name == "people.note:17"
    key = uuid.uuid4()
    assert str(stored(Note, pk=key.int).pk) in Topic(stored(Note, pk=key.int)).name


def test_a_tenant_comes_first(note, name):
    assert Topic(note, within="acme").name == f"acme/{name}"
    assert Topic("news", within="acme/eu").name == "acme/eu/news"


def test_topics_of_one_name_are_one(note, name):
    assert {Topic(note), Topic.named(name), Topic("news")} == {Topic(note), Topic("news")}
    assert Topic("news") != Group("news")


def test_what_was_not_saved_is_refused(note):
    for unsaved in (Note(), Note(pk=7), Named(code="x")):
        with pytest.raises(ValueError, match="was not saved"):
            Topic(unsaved)
    note.delete()
    with pytest.raises(ValueError, match="was not saved"):
        Topic(note)
    with pytest.raises(ValueError, match="is empty"):
        Topic(stored(Named, code=""))


@pytest.mark.parametrize(
    "text", ["", "shop.order:17", "two words", "grüße", "a,b", "a~b", "n" * 201, "news\n"]
)
def test_a_free_name_can_name_no_object(text):
    with pytest.raises(ValueError, match="a topic's name has"):
        Topic(text)
    with pytest.raises(ValueError, match="within= takes a name"):
        Topic("news", within=text)


@pytest.mark.parametrize("wrong", [None, 17, Note, b"news", ["news"]])
def test_a_topic_is_an_object_or_a_name(wrong):
    with pytest.raises(TypeError, match="Topic takes an object or a name"):
        Topic(wrong)


def test_a_name_has_its_bounds():
    assert Topic("n" * 195, within="acme").name
    with pytest.raises(ValueError, match="more than 200 bytes"):
        Topic("n" * 196, within="acme")
    with pytest.raises(ValueError, match="more than 512 bytes"):
        Topic(stored(Named, code="é" * 100))


def test_an_object_that_is_no_target_says_that_it_may_be_a_topic(note):
    with pytest.raises(TypeError, match=r"listen to this object, send to Topic\(note\)"):
        notify(note, {})


# Publishing


def test_a_topic_goes_wherever_a_group_goes(gateway, at, note, name, user):
    notify(Topic(note), {"n": 1})
    run(anotify, Topic(note), {"n": 2})
    notify([user], {"n": 3})
    at(view=lambda request: notify(Topic(note), {"n": 4}) or HttpResponse())
    response = Through().get("/view/")
    assert [one["to"] for one in gateway.publications[:2]] == [{"topic": name}] * 2
    assert [one["to"] for one in rode(response, "Publish")] == [{"topic": name}]


def test_a_gateway_that_knows_no_topics_is_logged_with_its_words(gateway, caplog):
    said = "`to` names nobody, expected exactly one of user, users, group"
    line = {"error": {"type": "about:blank", "status": 400, "detail": said}}
    gateway.script.append(
        lambda handler: fakes.respond(handler, 202, json.dumps(line).encode() + b"\n")
    )
    notify(Topic("news"), {})
    assert f"the gateway refused publication 1: {said}" in caplog.text


def test_the_transactional_outbox_keeps_it(gateway, settings, note, name):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True}
    notify(Topic(note), text="<li>", event="progress", end=True)
    assert json.loads(Item.objects.get().body) == {
        "to": {"topic": name},
        "text": "<li>",
        "event": "progress",
        "end": True,
    }


def test_the_channel_layer_maps_groups_to_topics(settings, gateway):
    groups = {"order_*": "topic:order.{}", "job_*": "topic:shop.job:{}"}
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "gatepost.channels.GatepostChannelLayer",
            "CONFIG": {"GROUPS": groups, "UNWRAP": "frame"},
        }
    }
    channel_layers.backends = {}
    send = async_to_sync(channel_layers["default"].group_send)
    send("order_17", {"type": "x", "frame": {"n": 1}})
    send("job_a.b", {"type": "x", "frame": {"n": 2}})
    assert [one["to"] for one in gateway.publications] == [
        {"topic": "order.17"},
        {"topic": "shop.job:a.b"},
    ]


def test_a_mapping_to_what_is_no_topic_is_refused(settings):
    from gatepost.channels import GatepostChannelLayer

    with pytest.raises(ImproperlyConfigured, match="'two words' is not the name of a topic"):
        GatepostChannelLayer(GROUPS={"x": "topic:two words"})


# Text, events, ends


def test_a_text_is_sent_as_it_is(gateway):
    notify(Topic("job"), text=lazystr("<li>Grüße</li>\n"), event="progress", key="k")
    notify(Topic("job"), {"n": 1}, event="progress")
    notify(Topic("job"), {"n": 2}, end=True)
    notify(Topic("job"), end=True)
    said = [{k: v for k, v in one.items() if k not in ("id", "to")} for one in gateway.publications]
    assert said == [
        {"key": "k", "event": "progress", "text": "<li>Grüße</li>\n"},
        {"event": "progress", "frame": {"n": 1}},
        {"end": True, "frame": {"n": 2}},
        {"end": True},
    ]


WRONG = {
    "nothing": ({}, TypeError, "takes a frame, or text="),
    "both": ({"frame": 1, "text": "x"}, TypeError, "not both"),
    "no text": ({"text": 1}, TypeError, "text is a str"),
    "bytes": ({"text": b"x"}, TypeError, "text is a str"),
    "half a character": ({"text": "\ud83d"}, ValueError, "half of a character"),
    "a large text": ({"text": "x" * 262_145}, ValueError, "has 262145 bytes"),
    "no event": ({"text": "x", "event": 1}, TypeError, "event is a name"),
    "an empty event": ({"text": "x", "event": ""}, ValueError, "1 to 100 bytes"),
    "a long event": ({"text": "x", "event": "x" * 101}, ValueError, "1 to 100 bytes"),
    "two lines": ({"text": "x", "event": "a\nb"}, ValueError, "on one line"),
    "white space": ({"text": "x", "event": " a"}, ValueError, "on one line"),
    "the gateway's": ({"text": "x", "event": "gatepost"}, ValueError, "the gateway's own"),
    "the end's": ({"text": "x", "event": "close"}, ValueError, "end=True ends a stream"),
    "the gateway's words": ({"frame": {"gatepost": "x"}}, ValueError, "no member 'gatepost'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_raises_at_the_callers_line(gateway, case):
    options, error, sentence = WRONG[case]
    with pytest.raises(error, match=sentence):
        notify(Everyone, **options)
    assert gateway.calls == []


def test_only_the_frame_itself_may_not_be_the_gateways(gateway):
    notify(Everyone, {"data": {"gatepost": 1}})
    notify(Everyone, [{"gatepost": 1}])
    assert len(gateway.publications) == 2


# Revoking


def test_subscriptions_are_revoked_by_djangos_clock(gateway, note, name, user):
    before = time.time_ns() // 1_000_000
    revoke(Topic(note), user=user)
    revoke(Topic(note), user=[user.pk])
    revoke(Topic(note))
    moments = [one.pop("at") for one in gateway.revocations for _ in (0,)]
    assert all(before <= moment <= time.time_ns() // 1_000_000 for moment in moments)
    revocations = [{k: v for k, v in one.items() if k != "at"} for one in gateway.revocations]
    assert revocations == [
        {"topic": name, "user": str(user.pk), "max_age": 43_200},
        {"topic": name, "user": str(user.pk), "max_age": 43_200},
        {"topic": name, "max_age": 43_200},
    ]


def test_the_clock_is_read_after_the_commit(gateway, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    with transaction.atomic():
        revoke(Topic("news"))
        monkeypatch.setattr(time, "time_ns", lambda: 2_000_000_000)
    assert gateway.revocations[0]["at"] == 2000


def test_it_rides_on_a_response(gateway, at, user):
    at(view=lambda request: revoke(Topic("news"), user=user) or HttpResponse())
    (said,) = rode(Through().get("/view/"), "Revoke")
    assert said.keys() == {"topic", "user", "at", "max_age"}


def test_of_nobody_nothing_is_revoked(gateway):
    revoke(Topic("news"), user=AnonymousUser())
    revoke(Topic("news"), user=[])
    assert gateway.calls == []
    with pytest.raises(TypeError):
        revoke(Topic("news"), user=None)


def test_a_revocation_takes_what_fits(user):
    with pytest.raises(TypeError, match="without code and reason"):
        revoke(Topic("news"), code=4003)
    with pytest.raises(TypeError, match="without code and reason"):
        revoke(Topic("news"), reason="no")
    with pytest.raises(TypeError, match="user= goes with a Topic"):
        revoke(user, user=user)
    with pytest.raises(TypeError, match="user= takes a user"):
        revoke(Topic("news"), user=Group("staff"))


@pytest.mark.parametrize("age", [60, 60.5, timedelta(minutes=1)])
def test_it_counts_for_as_long_as_tokens_live(gateway, settings, age):
    settings.GATEPOST = {**settings.GATEPOST, "TOPIC_MAX_AGE": age}
    revoke(Topic("news"))
    assert gateway.revocations[0]["max_age"] == 60


@pytest.mark.parametrize("age", [0, True, "12h", None])
def test_an_age_that_is_none_is_refused(settings, age):
    settings.GATEPOST = {**settings.GATEPOST, "TOPIC_MAX_AGE": age}
    with pytest.raises(ImproperlyConfigured, match="TOPIC_MAX_AGE"):
        revoke(Topic("news"))


def test_from_the_outbox_it_counts_from_its_commit_on(gateway, settings, monkeypatch):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True}
    gateway.script.append(answers({}))
    revoke(Topic("news"))
    item = Item.objects.get()
    assert "at" not in json.loads(item.body)
    at_once = json.loads(pages._body(item, item.created + 5))
    assert at_once == {"topic": "news", "max_age": 43_200, "at": item.created + 5}
    # A gateway that pulls an hour later refuses no token of that hour.
    late = json.loads(pages._body(item, item.created + 3_600_000))
    assert late["at"] == item.created + 60_000


# Who listens


def test_online_counts_those_who_listen(gateway, note, name, user):
    gateway.script.append(answers({"online": {str(user.pk): 2}}))
    gateway.script.append(answers({"topics": {name: 3}}))
    gateway.script.append(answers({"topics": {}}))
    assert online(user, Topic(note)) == {user.pk: 2, Topic(note): 3}
    assert run(aonline, Topic("news")) == {Topic("news"): 0}
    assert gateway.calls[2].path == "/v1/online?topic=news"


def test_connections_are_asked_for_by_topic(gateway):
    gateway.script.append(answers({"connections": []}))
    operations.connections(topic="shop.order:a%2Fb")
    assert gateway.calls[0].path == "/v1/connections?topic=shop.order%3Aa%252Fb"


# Commands


def test_commands_name_topics_as_the_gateway_does(gateway, user):
    gateway.script.append(answers({"id": "x", "position": "1.1", "sockets": 2, "offline": 0}))
    assert command("gateway_publish", "topic:shop.order:17", "1") == "Sent to 2 sockets."
    assert gateway.publications[0]["to"] == {"topic": "shop.order:17"}
    gateway.script.append(answers({"connections": []}))
    command("gateway_connections", "--topic", "news")
    assert gateway.calls[-1].path == "/v1/connections?topic=news"
    gateway.script += [answers({"closed": 0, "unsubscribed": n}) for n in (1, 2)]
    assert command("gateway_revoke", "--topic", "news") == "1 subscription ended."
    key = str(user.pk)
    ended = command("gateway_revoke", "--topic", "news", "--user", key)
    assert ended == "2 subscriptions ended."
    assert [one.get("user") for one in gateway.revocations] == [None, key]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gateway_publish", "topic:two words", "1"], "not the name of a topic"),
        (["gateway_connections", "--topic", "a:b:c"], "not the name of a topic"),
        (["gateway_revoke", "--topic", ""], "not the name of a topic"),
        (["gateway_revoke", "--topic", "a", "--connection", "c"], "at most one of --user"),
    ],
)
def test_a_command_says_what_is_wrong(gateway, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command(*arguments)
    assert gateway.calls == []


def test_an_old_gateway_refuses_a_command_with_its_own_words(gateway):
    gateway.script.append(fakes.problem(400, "`topic` is unknown"))
    with pytest.raises(GatewayError, match="`topic` is unknown"):
        operations.unsubscribe("news")


# In tests


def test_tests_assert_what_topics_were_sent(note, user):
    with recorded():
        notify(Topic(note), {"n": 1})
        notify(Topic("job"), text="<li>", event="progress")
        notify(Topic("job"), end=True)
        revoke(Topic(note), user=user)
        assertNotified(Topic(note), {"n": 1})
        assert assertNotified(Topic("job"), text="<li>").event == "progress"
        assert assertNotified(Topic("job")).end
        assertNotNotified(Topic("other"))
        assertRevoked(Topic(note), user=user)
        assert [one.frame for one in outbox] == [{"n": 1}, None, None]
        with pytest.raises(AssertionError, match="no subscriptions to topic"):
            assertRevoked(Topic(note))
        with pytest.raises(AssertionError, match="topic job was not notified with the text '<p>'"):
            assertNotified(Topic("job"), text="<p>")
        with pytest.raises(AssertionError, match="topic job was not notified with null"):
            assertNotified(Topic("job"), None)
