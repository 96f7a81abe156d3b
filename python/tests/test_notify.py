"""notify(): what leaves, when, and in which order."""

import asyncio
import datetime
import decimal
import time
import uuid

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils.translation import gettext_lazy

import fakes
from gatepost import Connection, Everyone, Group, Session, notify, revoke
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

NOTIFICATION = {"type": "notification", "title": "Grüße", "message": "…"}


class Rollback(Exception):
    pass


def titles(gateway):
    return [publication["frame"]["n"] for publication in gateway.publications]


def say(n):
    notify(Everyone, {"n": n})


def say_and_undo(n):
    try:
        with transaction.atomic():
            say(n)
            raise Rollback
    except Rollback:
        return


def test_outside_of_a_transaction_it_leaves_at_once(gateway, user):
    notify(user, NOTIFICATION)
    (call,) = gateway.calls
    assert call.path == "/v1/publish"
    assert call.headers["Content-Type"] == "application/x-ndjson"
    assert call.headers["Host"] == f"127.0.0.1:{gateway.port}"
    assert "Authorization" not in call.headers
    assert call.signature_holds
    (publication,) = call.lines
    assert publication.pop("id")
    assert publication == {"to": {"user": str(user.pk)}, "frame": NOTIFICATION}


def test_it_waits_for_the_commit(gateway, user):
    with transaction.atomic():
        notify(user, NOTIFICATION)
        assert gateway.calls == []
    assert len(gateway.calls) == 1


def test_a_rollback_sends_nothing(gateway):
    say_and_undo(1)
    assert gateway.calls == []
    say(2)
    assert titles(gateway) == [2]


def test_one_transaction_is_one_call_in_order(gateway):
    with transaction.atomic():
        for n in range(50):
            Note.objects.create()
            say(n)
    assert len(gateway.calls) == 1
    assert titles(gateway) == list(range(50))


def test_ten_thousand_in_one_transaction_take_no_longer_each_than_one(gateway):
    def seconds(count):
        started = time.process_time()
        with transaction.atomic():
            for n in range(count):
                say(n)
            spent = time.process_time() - started
            transaction.set_rollback(True)
        return spent

    assert seconds(10_000) < 50 * max(seconds(1000), 0.01)  # Ten times as long, not a hundred.
    assert gateway.calls == []


def test_savepoints_are_part_of_the_one_call(gateway):
    with transaction.atomic():
        say(1)
        with transaction.atomic():
            say(2)
            with transaction.atomic():
                say(3)
        say(4)
    assert len(gateway.calls) == 1
    assert titles(gateway) == [1, 2, 3, 4]


@pytest.mark.parametrize("undone", [1, 2, 3])
def test_what_a_savepoint_undid_is_not_sent(gateway, undone):
    with transaction.atomic():
        for n in (1, 2, 3):
            try:
                with transaction.atomic():
                    say(n)
                    if n == undone:
                        raise Rollback
            except Rollback as error:
                kept = error  # With its traceback, as debuggers and error reporters keep it.
    assert kept.__traceback__ is not None
    assert len(gateway.calls) == 1
    assert titles(gateway) == [n for n in (1, 2, 3) if n != undone]


def test_without_reference_counts_each_is_a_call_of_its_own(gateway, monkeypatch):
    monkeypatch.setattr("gatepost.sending.commit._COUNTS_REFERENCES", False)
    with transaction.atomic():
        say(1)
        say_and_undo(2)
        say(3)
    assert len(gateway.calls) == 2
    assert titles(gateway) == [1, 3]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_the_transaction_of_another_database_is_waited_for_too(gateway):
    with transaction.atomic(using="other"):
        say(1)
        assert gateway.calls == []
    assert titles(gateway) == [1]


def test_no_database_is_needed(gateway, django_db_blocker):
    connections["default"].close()
    with django_db_blocker.block():
        say(1)
    assert titles(gateway) == [1]


def test_in_async_code_it_leaves_at_once(gateway):
    async def view():
        say(1)

    asyncio.run(view())
    assert titles(gateway) == [1]


def test_in_manual_transactions_it_leaves_at_once(gateway):
    connections["default"].set_autocommit(False)
    try:
        say(1)
    finally:
        connections["default"].rollback()
        connections["default"].set_autocommit(True)
    assert titles(gateway) == [1]


@pytest.mark.django_db(transaction=False)
def test_captured_callbacks_are_one_a_publication(gateway, django_capture_on_commit_callbacks):
    say(1)
    with django_capture_on_commit_callbacks() as callbacks:
        say(2)
        say(3)
    assert len(callbacks) == 2
    assert gateway.calls == []
    for callback in callbacks:
        callback()
    assert titles(gateway) == [2, 3]


def test_a_view_that_fails_under_atomic_requests_sends_nothing(gateway, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    browser = Client(raise_request_exception=False)
    assert browser.get("/notify/?fail").status_code == 500
    assert gateway.calls == []
    assert browser.get("/notify/").status_code == 200
    assert len(gateway.calls) == 1


def test_notifications_and_revocations_keep_their_order(gateway, user):
    with transaction.atomic():
        say(1)
        say(2)
        revoke(user)
        say(3)
    assert [call.path for call in gateway.calls] == ["/v1/publish", "/v1/revoke", "/v1/publish"]
    assert titles(gateway) == [1, 2, 3]


def test_the_frame_is_the_one_of_the_call(gateway):
    frame = {"n": 1}
    with transaction.atomic():
        notify(Everyone, frame)
        frame["n"] = 2
    assert titles(gateway) == [1]


def test_frames_hold_what_django_can_encode(gateway):
    key = uuid.uuid4()
    frame = {
        "date": datetime.date(2026, 1, 2),
        "price": decimal.Decimal("1.50"),
        "key": key,
        "text": gettext_lazy("Yes"),
        "quote": 'a "b" </script> \u2028\n',
    }
    notify(Everyone, frame)
    assert gateway.publications[0]["frame"] == {
        "date": "2026-01-02",
        "price": "1.50",
        "key": str(key),
        "text": "Yes",
        "quote": 'a "b" </script> \u2028\n',
    }
    assert gateway.calls[0].body.count(b"\n") == 1


@pytest.mark.parametrize("frame", [{"x": object()}, {"x": float("nan")}, {1, 2}])
def test_what_is_no_json_is_the_callers_mistake(gateway, frame):
    with pytest.raises((TypeError, ValueError)):
        notify(Everyone, frame)
    assert gateway.calls == []


def test_all_options_are_passed_on(gateway):
    notify(
        Group("staff"),
        {},
        exclude=Connection("c1"),
        ttl=datetime.timedelta(minutes=1),
        key="unread",
        id="order-7",
        socket="/ws/notifications/",
    )
    assert gateway.publications == [
        {
            "to": {"group": "staff"},
            "frame": {},
            "id": "order-7",
            "ttl": "60s",
            "key": "unread",
            "exclude": "c1",
            "socket": "/ws/notifications/",
        }
    ]


@pytest.mark.parametrize(
    ("ttl", "said"), [(60, "60s"), ("5m", "5m"), (0.5, "500ms"), (0.0001, "1ms")]
)
def test_ttl_in_seconds(gateway, ttl, said):
    notify(Everyone, {}, ttl=ttl)
    assert gateway.publications[0]["ttl"] == said


@pytest.mark.parametrize("ttl", [0, -1, True, "soon", float("nan"), float("inf")])
def test_a_ttl_that_is_none_is_refused(gateway, ttl):
    with pytest.raises(ValueError, match="ttl"):
        notify(Everyone, {}, ttl=ttl)


def test_ids_differ(gateway):
    say(1)
    say(1)
    ids = [publication["id"] for publication in gateway.publications]
    assert len(set(ids)) == 2


def test_more_users_than_the_gateway_takes_are_several_publications(gateway, user, monkeypatch):
    monkeypatch.setattr("gatepost.sending.publishing.MOST_USERS", 2)
    keys = [uuid.uuid4() if isinstance(user.pk, uuid.UUID) else n for n in range(5)]
    notify(keys, {}, id="order-7")
    assert [len(said["to"]["users"]) for said in gateway.publications] == [2, 2, 1]
    told = [key for said in gateway.publications for key in said["to"]["users"]]
    assert told == [str(key) for key in keys]
    assert [said["id"] for said in gateway.publications] == ["order-7.0", "order-7.1", "order-7.2"]


@pytest.mark.parametrize("limit", ["MOST_LINES", "LARGEST_BODY"])
def test_more_than_the_gateway_takes_at_once_is_several_calls(gateway, monkeypatch, limit):
    monkeypatch.setattr(f"gatepost.backends.http.{limit}", 3 if limit == "MOST_LINES" else 300)
    with transaction.atomic():
        for n in range(7):
            say(n)
    assert [len(call.lines) for call in gateway.calls] == [3, 3, 1]
    assert titles(gateway) == list(range(7))


def test_nobody_is_told_nothing(gateway):
    notify([], {})
    notify(Session(Client().request().wsgi_request), {})
    revoke([])
    assert gateway.calls == []


# What the gateway answers


def test_a_line_that_the_gateway_refused_is_logged(gateway, caplog):
    lines = b'{"id":"1","position":"1.1","sockets":0,"offline":0}\n' + (
        b'{"error":{"type":"about:blank","status":400,"detail":"unknown member `to`"}}\n'
    )
    gateway.script = [lambda handler: fakes.respond(handler, 202, lines)]
    with transaction.atomic():
        say(1)
        say(2)
    assert "refused publication 2: unknown member `to`" in caplog.text
    assert "publication 1" not in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_another_secret_is_logged_with_what_to_do(gateway, caplog):
    gateway.script = [fakes.problem(401, "the signature does not hold")]
    say(1)
    assert "(401): the signature does not hold. Gateway and Django must have" in caplog.text


def test_the_site_instead_of_the_internal_address_is_logged_with_what_to_do(gateway, caplog):
    gateway.script = [lambda handler: fakes.respond(handler, 308, b"")]
    say(1)
    assert "must be the address of `internal` in gateway.toml" in caplog.text


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]\nnull\n", b"\xff\xfe"])
def test_garbage_for_an_answer_is_survived(gateway, body, caplog):
    gateway.script = [lambda handler: fakes.respond(handler, 202, body)]
    say(1)
    gateway.script = [lambda handler: fakes.respond(handler, 500, body)]
    say(2)
    assert "(500): no reason given" in caplog.text


def test_no_secret_is_logged_and_nothing_is_sent(gateway, settings, monkeypatch, caplog):
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    settings.GATEPOST = {"URL": gateway.url}
    say(1)
    notify(Session("k" * 32), {})
    assert gateway.calls == []
    assert caplog.text.count("Set GATEPOST['SECRET']") == 2


# revoke


def test_revoking_a_user_closes_the_sockets_of_that_user(gateway, user):
    with transaction.atomic():
        revoke(user, reason="banned")
        assert gateway.calls == []
    assert gateway.calls[0].signature_holds
    assert gateway.calls[0].headers["Content-Type"] == "application/json"
    assert gateway.revocations == [{"user": str(user.pk), "code": 4001, "reason": "banned"}]


def test_revoking_several_is_a_call_for_each(gateway, user):
    other = uuid.uuid4() if isinstance(user.pk, uuid.UUID) else 4242
    revoke([user, other], code=4003)
    assert [(said["user"], said["code"]) for said in gateway.revocations] == [
        (str(user.pk), 4003),
        (str(other), 4003),
    ]


@pytest.mark.parametrize("target", [Group("staff"), Everyone, Connection("1")])
def test_only_users_and_sessions_can_be_revoked(gateway, target):
    with pytest.raises(TypeError, match="a user, users, a Session or a Topic"):
        revoke(target)


def test_a_reason_must_fit_a_close_frame(gateway, user):
    with pytest.raises(ValueError, match="123 bytes"):
        revoke(user, reason="ü" * 62)
    revoke(user, reason="ü" * 61)
    assert len(gateway.calls) == 1
