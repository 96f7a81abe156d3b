"""The commands that ask the gateway something, or tell it something, by hand."""

import io
import json

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, load_command_class

import fakes


def run(name, *arguments):
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue().strip()


def answers(said):
    return lambda handler: fakes.respond(
        handler, 200, json.dumps(said).encode(), "application/json"
    )


def test_wrong_settings_keep_no_operator_from_looking(settings, gateway, capsys):
    settings.ALLOWED_HOSTS = ["http://wrong"]  # gatepost.E006
    gateway.script.append(answers({"connections": []}))
    load_command_class("gatepost", "gateway_connections").run_from_argv(
        ["manage.py", "gateway_connections"]
    )
    assert capsys.readouterr().out == "Nobody is connected.\n"


# gateway_publish


@pytest.fixture
def delivered(gateway):
    """What the gateway answers to the next publication."""

    def answer(sockets=1, offline=0):
        said = {"id": "x", "position": "1.1", "sockets": sockets, "offline": offline}
        gateway.script.append(answers(said))

    answer()
    return answer


@pytest.mark.parametrize(
    ("target", "to"),
    [
        ("group:staff: night", {"group": "staff: night"}),
        ("session:" + "ab" * 32, {"session": "ab" * 32}),
        ("connection:9f8e", {"connection": "9f8e"}),
        ("everyone", {"everyone": True}),
    ],
)
def test_a_frame_is_published(gateway, delivered, target, to):
    assert run("gateway_publish", target, '{"type": "test", "n": 1.50}') == "Sent to 1 socket."
    (call,) = gateway.calls
    said = json.loads(call.body)
    assert said["to"] == to
    assert said["frame"] == {"type": "test", "n": 1.5}
    assert call.signature_holds


def test_a_user_is_named_by_key_or_by_name(gateway, delivered, user):
    delivered()
    run("gateway_publish", f"user:{user.pk}", "{}")
    run("gateway_publish", "username:ann", "{}")
    assert [json.loads(call.body)["to"] for call in gateway.calls] == [{"user": str(user.pk)}] * 2


def test_the_options_of_a_publication_are_passed_on(gateway, delivered):
    options = {"ttl": "60s", "key": "k", "id": "once", "socket": "/ws/a/"}
    run("gateway_publish", "everyone", "1", *[f"--{name}={o}" for name, o in options.items()])
    said = json.loads(gateway.calls[0].body)
    assert {name: said[name] for name in options} == options


def test_a_frame_may_come_from_stdin(gateway, delivered, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('["from", "a pipe"]'))
    run("gateway_publish", "everyone", "-")
    assert json.loads(gateway.calls[0].body)["frame"] == ["from", "a pipe"]


def test_it_is_said_who_got_it(gateway, delivered):
    gateway.script.clear()
    delivered(sockets=3, offline=2)
    delivered(sockets=0, offline=1)
    said = run("gateway_publish", "everyone", "1")
    assert said == "Sent to 3 sockets. 2 of the users had none."
    assert "nobody who was addressed is connected" in run("gateway_publish", "everyone", "1")


@pytest.mark.parametrize("target", ["ann", "user:", "users:1", "everyone:1", ":1", "everyone:"])
def test_what_is_no_target_is_refused(gateway, target):
    with pytest.raises(CommandError, match=r"is not one of user:42, username:ann"):
        run("gateway_publish", target, "{}")
    assert gateway.calls == []


@pytest.mark.parametrize("frame", ["{type: test}", '{"price": NaN}', "1e999"])
def test_what_is_no_json_is_refused(gateway, frame):
    with pytest.raises(CommandError, match=r"not JSON.*single quotes"):
        run("gateway_publish", "everyone", frame)
    assert gateway.calls == []


@pytest.mark.django_db
def test_an_unknown_user_is_named(gateway):
    with pytest.raises(CommandError, match="no user 'zoe'"):
        run("gateway_publish", "username:zoe", "1")
    with pytest.raises(CommandError, match="'ann' is not a primary key"):
        run("gateway_publish", "user:ann", "1")


def test_a_refusal_is_a_sentence(gateway):
    gateway.script.append(fakes.problem(401, "the signature does not hold"))
    with pytest.raises(CommandError, match="same secret"):
        run("gateway_publish", "everyone", "1")


@pytest.mark.parametrize(
    "command",
    [
        ("gateway_publish", "everyone", "1"),
        ("gateway_connections",),
        ("gateway_revoke", "--connection=9f"),
    ],
)
def test_a_gateway_that_is_away_is_a_sentence(gateway, command):
    gateway.close()
    with pytest.raises(CommandError, match=r"cannot reach the gateway at http://127\.0\.0\.1"):
        run(*command)


def test_several_gateways_are_all_told(settings, gateway, delivered):
    other = fakes.FakeGateway.on_tcp()
    try:
        settings.GATEPOST = {**settings.GATEPOST, "URL": [gateway.url, other.url]}
        other.script.append(answers({"sockets": 2, "offline": 0}))
        assert run("gateway_publish", "everyone", "1") == "Sent to 3 sockets."
        other.script.append(answers({"connections": [{"user": "2", "since": 1}]}))
        gateway.script.append(answers({"connections": [{"user": "1", "since": 2}]}))
        lines = run("gateway_connections", "--json").splitlines()
        assert [json.loads(line)["user"] for line in lines] == ["2", "1"]
    finally:
        other.close()


# gateway_connections

CONNECTION = {
    "connection": "9f8e7d6c5b4a3921",
    "user": "42",
    "session": "ab" * 32,
    "groups": ["staff"],
    "socket": "/ws/notifications/",
    "transport": "websocket",
    "address": "192.0.2.7",
    "since": 1794000000,
    "sent": 3,
    "queued": 0,
}


def test_who_is_connected(settings, gateway):
    settings.TIME_ZONE = "Europe/Berlin"
    gateway.script.append(answers({"connections": [CONNECTION]}))
    header, row = run("gateway_connections").splitlines()
    assert header == (
        "user  socket              address    since                      sent  queued  connection"
    )
    assert row == (
        "42    /ws/notifications/  192.0.2.7  2026-11-06 22:20:00+01:00  3     0"
        "       9f8e7d6c5b4a3921"
    )
    (call,) = gateway.calls
    assert call.path == "/v1/connections"


def test_a_connection_without_a_user_is_a_visitors(gateway):
    visitor = {**CONNECTION, "user": None, "session": None, "groups": [], "topics": ["news"]}
    gateway.script += [answers({"connections": [visitor]})] * 2
    assert run("gateway_connections").splitlines()[1].startswith("(visitor)  /ws/notifications/  ")
    assert json.loads(run("gateway_connections", "--json")) == visitor


def test_of_one_user(gateway, user):
    gateway.script += [answers({"connections": []})] * 2
    assert run("gateway_connections", f"--user={user.pk}") == "Nobody is connected."
    run("gateway_connections", "--username=ann")
    assert [call.path for call in gateway.calls] == [f"/v1/connections?user={user.pk}"] * 2


def test_for_programs(gateway):
    gateway.script.append(answers({"connections": [CONNECTION, CONNECTION]}))
    lines = run("gateway_connections", "--json").splitlines()
    assert [json.loads(line) for line in lines] == [CONNECTION] * 2


# gateway_revoke


def test_sockets_are_closed(gateway, user):
    gateway.script += [answers({"closed": 1}), answers({"closed": 2})]
    assert run("gateway_revoke", "--username=ann") == "1 socket closed."
    assert run("gateway_revoke", f"--session={'ab' * 32}", "--code=4007", "--reason=moved") == (
        "2 sockets closed."
    )
    assert gateway.revocations == [
        {"user": str(user.pk), "code": 4001, "reason": "closed by an operator"},
        {"session": "ab" * 32, "code": 4007, "reason": "moved"},
    ]


@pytest.mark.parametrize("arguments", [(), ("--connection=9f", "--session=ab")])
def test_whose_sockets_must_be_said_once(gateway, arguments):
    with pytest.raises(CommandError, match="Name one of"):
        run("gateway_revoke", *arguments)
    assert gateway.calls == []


@pytest.mark.django_db
def test_a_user_that_is_gone_can_still_be_disconnected(gateway):
    key = get_user_model()._meta.pk.to_python(
        "7d9a1c52-6d3f-4c39-9f57-2f3a4f1e9b11"
        if "UUID" in type(get_user_model()._meta.pk).__name__
        else "77"
    )
    gateway.script.append(answers({"closed": 0}))
    assert run("gateway_revoke", f"--user={key}") == "0 sockets closed."


# gateway_maintenance, gateway_pause, gateway_resume


def test_maintenance_is_ordered_with_a_message_and_networks(gateway):
    gateway.script.append(answers({"on": True}))
    arguments = ("--message=Back at 5", "--allow=10.0.0.0/8", "--allow", "2001:db8::7")
    assert run("gateway_maintenance", "on", *arguments) == "Maintenance is on."
    gateway.script.append(answers({"on": False}))
    assert run("gateway_maintenance", "off") == "Maintenance is off."
    on, off = gateway.calls
    assert (on.path, json.loads(on.body)) == (
        "/v1/maintenance",
        {"on": True, "message": "Back at 5", "allow": ["10.0.0.0/8", "2001:db8::7"]},
    )
    assert json.loads(off.body) == {"on": False}
    assert on.signature_holds
    assert off.signature_holds


def test_what_a_restart_would_undo_is_said(gateway):
    gateway.script.append(answers({"on": True, "warning": "a restart would end it"}))
    out, err = io.StringIO(), io.StringIO()
    call_command("gateway_maintenance", "on", stdout=out, stderr=err)
    assert err.getvalue() == "Warning: a restart would end it.\n"
    assert json.loads(gateway.calls[0].body) == {"on": True, "allow": []}


def test_the_end_of_maintenance_takes_nothing_more():
    with pytest.raises(CommandError, match="go with `on`"):
        run("gateway_maintenance", "off", "--message=x")


def test_a_pause_lasts_a_minute_unless_it_says_otherwise(gateway):
    for arguments, length in (((), "60s"), (("--for=5m",), "5m")):
        gateway.script.append(answers({"on": True}))
        assert run("gateway_pause", *arguments) == f"Paused for {length}."
        call = gateway.calls[-1]
        assert (call.path, json.loads(call.body)) == ("/v1/pause", {"on": True, "for": length})
    gateway.script.append(answers({"on": False}))
    assert run("gateway_resume") == "There is no pause."
    assert json.loads(gateway.calls[-1].body) == {"on": False}


def test_a_reload_is_ordered(gateway):
    gateway.script.append(answers({"reloaded": True}))
    assert run("gateway_reload") == "Reloaded."
    (call,) = gateway.calls
    assert call.path == "/v1/reload"
    assert call.signature_holds


@pytest.mark.parametrize(
    "arguments",
    [("gateway_maintenance", "on"), ("gateway_pause",), ("gateway_resume",), ("gateway_reload",)],
)
def test_an_order_that_a_gateway_refuses_is_an_error(gateway, arguments):
    problem = {"detail": "`for` is at most an hour"}
    gateway.script.append(
        lambda handler: fakes.respond(
            handler, 400, json.dumps(problem).encode(), "application/problem+json"
        )
    )
    with pytest.raises(CommandError, match=r"refused .* \(400\): `for` is at most an hour"):
        run(*arguments)
