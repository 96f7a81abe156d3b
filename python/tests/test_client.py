"""The way to the gateway: kept connections, forks, and a gateway that is away."""

import gc
import json
import os
import socket
import threading
import time
import warnings

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

import fakes
from gatepost import Everyone, environment, notify
from gatepost.sending import breaker, client, process

pytestmark = pytest.mark.django_db(transaction=True)


def say(n=1):
    notify(Everyone, {"n": n})


@pytest.fixture
def at(settings):
    """Points GATEPOST at an address."""

    def at(url, **more):
        settings.GATEPOST = {**settings.GATEPOST, "URL": url, **more}

    return at


@pytest.fixture
def clock(monkeypatch):
    """A clock for the breaker that stands still until it is moved."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]  # Bound, but nobody listens.


@pytest.fixture
def silent_port():
    """Accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_connection_is_kept(gateway):
    for n in range(5):
        say(n)
    assert len({call.connection for call in gateway.calls}) == 1
    assert all(call.signature_holds for call in gateway.calls)


def test_no_two_calls_have_the_same_signature(gateway, settings):
    """The gateway believes one once; the same thing may be said twice in a second."""
    for _ in range(2):
        client.post("/v1/recheck", b'{"user":"42"}', content_type="application/json")
    signatures = {call.headers["Gatepost-Signature"] for call in gateway.calls}
    assert len(signatures) == 2
    assert all(call.signature_holds for call in gateway.calls)


@pytest.mark.parametrize(
    ("code", "hint"), [("signature_expired", "clocks"), ("signature_wrong", "same secret")]
)
def test_a_refused_signature_is_explained(gateway, code, hint):
    body = json.dumps({"code": code, "detail": "no"}).encode()
    gateway.script.append(lambda handler: fakes.respond(handler, 401, body))
    with pytest.raises(client.GatewayError, match=hint):
        client.get("/v1/online?user=1")


def test_each_thread_has_its_own(gateway):
    say()
    thread = threading.Thread(target=say)
    thread.start()
    thread.join()
    say()
    first, second, third = (call.connection for call in gateway.calls)
    assert first == third != second


def test_a_thread_that_ends_leaves_no_socket_behind(gateway):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=say)
        thread.start()
        thread.join()
        del thread
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert len(gateway.calls) == 1


def test_a_restarted_gateway_is_reached_at_once(gateway, caplog):
    say(1)
    gateway.close()
    again = fakes.FakeGateway.on_tcp(gateway.port)
    try:
        say(2)
    finally:
        again.close()
        gateway.close = lambda: None
    assert [line["frame"]["n"] for line in again.publications] == [2]
    assert caplog.text == ""


def cut(handler):
    """A script step: hang up without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def test_a_call_is_repeated_over_a_connection_that_just_broke_with_the_same_id(gateway):
    say(1)
    gateway.script = [cut]
    say(2)
    first, second = gateway.calls[1:]
    assert first.lines == second.lines
    assert first.lines[0]["id"]


def test_a_gateway_that_hangs_up_every_time_is_not_called_for_ever(gateway, caplog):
    say(1)
    gateway.script = [cut, cut, cut]
    say(2)
    assert len(gateway.calls) == 3
    assert "cannot reach the gateway" in caplog.text


def test_a_late_answer_is_not_taken_for_the_next(gateway, settings, clock):
    settings.GATEPOST = {**settings.GATEPOST, "TIMEOUT": 0.1}
    release = threading.Event()
    late = fakes.problem(400, "this is the late one")

    def answer_late(handler):
        release.wait(5)
        try:
            late(handler)
        except OSError:
            return

    gateway.script = [answer_late]
    with pytest.raises(client.UnreachableError):
        client.post("/v1/publish", b"{}", content_type="application/json")
    release.set()
    clock.now += 2
    assert client.post("/v1/publish", b"{}", content_type="application/json").status == 202


def test_a_unix_socket_is_called_too(at, tmp_path):
    path = tmp_path / "gatepost.sock"
    gateway = fakes.FakeGateway.on_unix(path)
    try:
        at(f"unix:{path}")
        say(1)
        say(2)
    finally:
        gateway.close()
    assert [line["frame"]["n"] for line in gateway.publications] == [1, 2]
    assert all(call.signature_holds for call in gateway.calls)
    assert gateway.calls[0].headers["Host"] == "localhost"


def test_ipv6_and_the_default_port_are_named_as_http_names_them():
    named = {url: client._host_header(client._open(url)) for url in (
        "http://[::1]:9400", "http://gateway", "http://gateway:80/", "http://gateway:9400",
    )}  # fmt: skip
    assert list(named.values()) == ["[::1]:9400", "gateway", "gateway", "gateway:9400"]


@pytest.mark.parametrize("url", ["https://127.0.0.1:9400", "127.0.0.1:9400", "", "http://:1", "x"])
def test_another_kind_of_address_is_explained(at, url, caplog):
    at(url)
    say()
    assert "must be http://host:port or unix:/path/to.sock" in caplog.text


# A gateway that is away


def test_a_gateway_that_is_down_raises_nothing_and_is_explained(at, closed_port, caplog):
    at(f"http://127.0.0.1:{closed_port}")
    say()
    (record,) = caplog.records
    assert record.name == "gatepost"
    assert record.levelname == "WARNING"
    for said in ("cannot reach", f"127.0.0.1:{closed_port}", "refused", "gatepost run", "lost"):
        assert said in record.getMessage()


def test_a_gateway_that_is_silent_costs_one_timeout(at, silent_port, caplog):
    at(f"http://127.0.0.1:{silent_port}", TIMEOUT=0.2)
    started = time.monotonic()
    for _ in range(100):
        say()
    # A hundred of them would be twenty seconds.
    assert 0.2 <= time.monotonic() - started < 10
    assert len(caplog.records) == 1


def test_a_missing_unix_socket_is_explained(at, tmp_path, caplog):
    at(f"unix:{tmp_path}/none.sock")
    say()
    assert "No such file" in caplog.text


def test_a_view_answers_while_the_gateway_is_down(at, closed_port):
    at(f"http://127.0.0.1:{closed_port}")
    user = get_user_model().objects.create_user("ann")
    browser = Client()
    browser.force_login(user)
    assert browser.get("/notify/").content == b"sent"
    assert browser.get("/logout/").content == b"bye"


def test_pauses_grow_to_half_a_minute_and_one_caller_tries(clock):
    one = breaker.Breaker()
    pauses = []
    for _ in range(7):
        assert one.allows()
        pauses.append(one.failed())
        assert not one.allows()
        clock.now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert one.allows()
    assert not one.allows()  # The others wait for the one that tries.
    assert one.succeeded() == 8
    assert one.allows()
    assert one.succeeded() is None


def test_the_end_of_an_outage_is_logged_with_what_was_lost(gateway, closed_port, clock, caplog):
    gateway.script = [cut]
    for n in range(3):
        say(n)
    clock.now += 1
    say(3)
    say(4)
    assert [line["frame"]["n"] for line in gateway.publications] == [0, 3, 4]
    assert "reached again; 2 calls were not made" in caplog.records[-1].getMessage()
    assert len(caplog.records) == 2


def test_addresses_have_a_breaker_each(gateway, at, closed_port):
    url = gateway.url
    at(f"http://127.0.0.1:{closed_port}")
    say(1)
    at(url)
    say(2)
    assert [line["frame"]["n"] for line in gateway.publications] == [2]


# Forks


def in_a_child(work):
    """Run in a forked child and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # The fake gateway has threads.
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_has_its_own_connection(gateway):
    say(1)

    def child():
        say(2)
        return True

    assert in_a_child(child) == 0
    say(3)
    assert [line["frame"]["n"] for line in gateway.publications] == [1, 2, 3]
    parent, forked, parent_again = (call.connection for call in gateway.calls)
    assert parent == parent_again != forked


def test_a_forked_child_does_not_inherit_a_held_lock(gateway):
    lock = client._state.breaker(gateway.url)._lock

    def child():
        say(1)
        return True

    with lock:
        assert in_a_child(child) == 0
    assert len(gateway.publications) == 1


# Commands, scripts, migrations


@pytest.fixture
def a_command(monkeypatch):
    """A process to which no request has come."""
    monkeypatch.setattr(process, "_serves", False)


def change_users():
    """What `demo_users`, a migration or a script does; each change has the gateway ask again."""
    user = get_user_model().objects.create_user("carl")
    user.is_active = False
    user.save()
    user.delete()


def loud(caplog):
    return [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["http://127.0.0.1:{}", "unix:/none/{}.sock"])
def test_a_command_that_changes_users_is_not_alarmed_where_no_gateway_runs(
    at, closed_port, caplog, a_command, where
):
    caplog.set_level("DEBUG", "gatepost")
    at(where.format(closed_port))
    change_users()
    assert caplog.records
    assert loud(caplog) == []


@pytest.mark.django_db(transaction=True)
def test_nor_where_no_gateway_has_made_a_secret_yet(
    at, closed_port, caplog, a_command, monkeypatch
):
    monkeypatch.setattr(environment, "is_testing", lambda: False)
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    at(f"http://127.0.0.1:{closed_port}", SECRET=None)
    change_users()
    assert loud(caplog) == []


@pytest.mark.django_db(transaction=True)
def test_what_a_command_publishes_to_nobody_is_said(at, closed_port, caplog, a_command):
    at(f"http://127.0.0.1:{closed_port}")
    change_users()
    say(1)  # Skipped, since the gateway could not be reached just now; nobody was told so.
    say(2)
    (record,) = loud(caplog)
    assert "what was to be sent is lost" in record.getMessage()


@pytest.mark.django_db(transaction=True)
def test_a_gateway_that_was_there_is_missed_by_a_command_too(gateway, caplog, a_command):
    change_users()
    gateway.close()
    change_users()
    assert len(loud(caplog)) == 1
    gateway.close = lambda: None


@pytest.mark.django_db(transaction=True)
def test_a_server_misses_every_gateway(at, closed_port, caplog, a_command):
    Client().get("/notify/")
    at(f"http://127.0.0.1:{closed_port}")
    caplog.clear()
    change_users()
    assert len(loud(caplog)) == 1
