"""online(): how many connections users have."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser
from through import run

import fakes
from gatepost import Everyone, GatewayError, Group, aonline, online

pytestmark = pytest.mark.django_db


def key(user, n):
    """Return a primary key of the kind that users have."""
    import uuid

    return n if isinstance(user.pk, int) else uuid.UUID(int=n)


@pytest.fixture
def counting(gateway):
    """Answers as the gateway does: with what it is told to count."""

    def counting(counts, at=gateway):
        def answer(handler, call):
            asked = [user for _, user in parse_qsl(urlsplit(call.path).query)]
            said = {user: counts.get(user, 0) for user in asked}
            fakes.respond(handler, 200, json.dumps({"online": said}).encode(), "application/json")

        at.answer = answer

    return counting


def test_counts_are_by_primary_key(counting, gateway, user):
    counting({str(user.pk): 2})
    away = key(user, 4242)
    assert online(user, away) == {user.pk: 2, away: 0}
    (call,) = gateway.calls
    assert call.path == f"/v1/online?user={user.pk}&user={away}"
    assert call.signature_holds


def test_users_may_be_given_in_any_way(counting, user):
    counting({str(user.pk): 1})
    model = type(user)
    for given in ([user], model.objects.all(), str(user.pk), [user.pk, user]):
        assert online(given) == {user.pk: 1}
    assert online(user, user) == {user.pk: 1}


def test_of_nobody_nothing_is_asked(gateway):
    assert online() == {}
    assert online(AnonymousUser()) == {}
    assert online([]) == {}
    assert gateway.calls == []


@pytest.mark.parametrize("target", [Everyone, Group("staff")])
def test_only_users_are_counted(target):
    with pytest.raises(TypeError, match="online"):
        online(target)


def test_many_users_are_asked_about_in_parts(counting, gateway, user):
    keys = [key(user, n) for n in range(250)]
    counting({str(keys[249]): 3})
    counts = online(keys)
    assert list(counts) == keys
    assert counts[keys[249]] == 3
    assert len(gateway.calls) == 3
    assert max(len(call.path) for call in gateway.calls) < 8192


def test_nobody_knows_while_the_gateway_is_away(gateway, user, caplog):
    gateway.script = [fakes.problem(503, "draining")]
    assert online(user) == {}
    assert "refused to online (503): draining" in caplog.text
    gateway.close()
    gateway.close = lambda: None
    assert online(user) == {}
    assert "cannot reach the gateway" in caplog.text


def test_it_raises_where_that_is_asked_for(gateway, user, settings):
    settings.GATEPOST = {**settings.GATEPOST, "FAIL_SILENTLY": False}
    gateway.script = [fakes.problem(503, "draining")]
    with pytest.raises(GatewayError, match="draining"):
        online(user)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"online":[]}', b'{"online":{"x":1}}', b"{}"])
def test_an_answer_that_says_nothing_counts_nobody(gateway, user, body):
    gateway.script = [lambda handler: fakes.respond(handler, 200, body)]
    assert online(user) == {user.pk: 0}


def test_of_several_gateways_the_largest_count_is_taken(counting, gateway, user, settings, caplog):
    other = fakes.FakeGateway.on_tcp()
    try:
        settings.GATEPOST = {**settings.GATEPOST, "URL": [other.url, gateway.url]}
        counting({str(user.pk): 2})
        counting({str(user.pk): 3}, at=other)
        assert online(user) == {user.pk: 3}
    finally:
        other.close()
    assert online(user) == {user.pk: 2}
    assert "cannot reach" in caplog.text


def test_asynchronous_code_asks_too(counting, user):
    counting({str(user.pk): 1})
    assert run(aonline, user) == {user.pk: 1}
