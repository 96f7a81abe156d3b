"""Where calls go, when, and how loudly they fail: BACKEND, URL, ON_COMMIT, DATABASE, …"""

import json
import threading
from typing import ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.test import AsyncClient, Client, TestCase, override_settings
from through import run

import fakes
from gatepost import (
    Everyone,
    GatewayError,
    anotify,
    arecheck,
    arevoke,
    backends,
    notify,
    recheck,
    revoke,
)
from gatepost.backends import http
from gatepost.sending.calls import Publication, Recheck, Revocation

pytestmark = pytest.mark.django_db(transaction=True)


def say(n):
    notify(Everyone, {"n": n})


def numbers(gateway):
    return [publication["frame"]["n"] for publication in gateway.publications]


class Recorder(backends.Backend):
    """Keeps what it is given."""

    calls: ClassVar[list] = []

    def send(self, calls):
        self.calls.append((list(calls), transaction.get_connection().in_atomic_block))


class StoringRecorder(Recorder):
    in_transaction = True


class Failing(backends.Backend):
    def send(self, calls):
        raise RuntimeError("disk full")


class NoBackend:
    pass


@pytest.fixture
def use(settings):
    def use(backend, **more):
        Recorder.calls.clear()
        settings.GATEPOST = {**settings.GATEPOST, "BACKEND": backend, **more}
        return Recorder.calls

    return use


# Backends


def test_a_backend_is_named_by_its_path(use):
    calls = use("test_backends.Recorder")
    with transaction.atomic():
        say(1)
        say(2)
        assert calls == []
    ((together, in_transaction),) = calls
    assert [json.loads(call.json())["frame"]["n"] for call in together] == [1, 2]
    assert not in_transaction


def test_one_that_stores_is_called_in_the_transaction(use):
    calls = use("test_backends.StoringRecorder")
    with transaction.atomic():
        say(1)
        assert [in_transaction for _, in_transaction in calls] == [True]
    assert len(calls) == 1


def test_what_one_that_stores_raises_is_the_callers(use):
    use("test_backends.Failing")
    with pytest.raises(RuntimeError, match="disk full"):
        say(1)


def test_settings_are_honoured_at_once(use, gateway):
    calls = use("test_backends.Recorder")
    say(1)
    with override_settings(GATEPOST={"SECRET": fakes.SECRET, "URL": gateway.url}):
        say(2)
    say(3)
    assert len(calls) == 2
    assert numbers(gateway) == [2]


def test_without_a_name_it_is_the_gateway_or_the_transactional_outbox(settings):
    assert isinstance(backends.current(), http.Backend)
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True, "BACKEND": "test_backends.Recorder"}
    assert isinstance(backends.current(), Recorder)
    assert backends.OUTBOX == "gatepost.backends.outbox.Backend"


@pytest.mark.parametrize("name", ["nowhere.Backend", "test_backends.NoBackend", "test_backends", 7])
def test_what_is_no_backend_is_explained(settings, name):
    settings.GATEPOST = {**settings.GATEPOST, "BACKEND": name}
    with pytest.raises(ImproperlyConfigured, match=r"GATEPOST\['BACKEND'\] must"):
        backends.current()


def test_the_dummy_sends_nothing(use, gateway):
    use("gatepost.backends.dummy.Backend")
    say(1)
    assert gateway.calls == []


def test_the_console_prints_every_kind(use, gateway, user, capsys):
    use("gatepost.backends.console.Backend")
    notify(user, {"n": 1}, id="7")
    revoke(user)
    recheck(user)
    said = capsys.readouterr().out.splitlines()
    who = f'{{"user":"{user.pk}"'
    assert said == [
        f'gatepost publish {{"to":{who}}},"id":"7","frame":{{"n":1}}}}',
        f'gatepost revoke {who},"code":4001,"reason":"session ended"}}',
        f"gatepost recheck {who}}}",
    ]
    assert gateway.calls == []


def test_calls_say_what_the_api_takes():
    who = {"session": "d"}
    assert json.loads(Recheck(who).json()) == who
    revoked = Revocation(who, "because", 4003)
    assert json.loads(revoked.json()) == {**who, "code": 4003, "reason": "because"}
    said = Publication({"everyone": True}, '{"a": 1.10}', "7", socket="/ws/").json()
    assert said == '{"to":{"everyone":true},"id":"7","socket":"/ws/","frame":{"a": 1.10}}'


# Several gateways


@pytest.fixture
def two(settings):
    pair = [fakes.FakeGateway.on_tcp(), fakes.FakeGateway.on_tcp()]
    settings.GATEPOST = {**settings.GATEPOST, "URL": [one.url for one in pair]}
    yield pair
    for one in pair:
        one.close()


def test_each_of_several_gateways_is_told(two, user):
    with transaction.atomic():
        say(1)
        revoke(user)
        recheck(user)
    for one in two:
        assert [call.path for call in one.calls] == ["/v1/publish", "/v1/revoke", "/v1/recheck"]
        assert all(call.signature_holds for call in one.calls)
    first, second = (one.publications for one in two)
    assert first == second  # With the same id: gateways that share a broker take it once.


def test_a_connection_to_each_is_kept(two):
    for n in range(3):
        say(n)
    assert [len({call.connection for call in one.calls}) for one in two] == [1, 1]


def test_one_that_is_away_does_not_keep_it_from_the_others(two, settings, caplog):
    gone, there = two
    gone.close()
    say(1)
    say(2)
    assert numbers(there) == [1, 2]
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    settings.GATEPOST = {**settings.GATEPOST, "FAIL_SILENTLY": False}
    with pytest.raises(GatewayError):
        say(3)
    assert numbers(there) == [1, 2, 3]
    gone.close = lambda: None


# When


def test_on_commit_can_be_switched_off(gateway, settings):
    settings.GATEPOST = {**settings.GATEPOST, "ON_COMMIT": False}
    with transaction.atomic():
        say(1)
        assert numbers(gateway) == [1]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize(("database", "other"), [("default", "other"), ("other", "default")])
def test_of_several_open_transactions_the_named_one_is_waited_for(
    gateway, settings, database, other
):
    settings.GATEPOST = {**settings.GATEPOST, "DATABASE": database}
    with transaction.atomic(using=database):
        with transaction.atomic(using=other):
            say(1)
        assert gateway.calls == []
    assert numbers(gateway) == [1]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_rollback_of_the_named_database_counts(gateway, settings):
    settings.GATEPOST = {**settings.GATEPOST, "DATABASE": "other"}
    with transaction.atomic(using="default"):
        try:
            with transaction.atomic(using="other"):
                say(1)
                raise RuntimeError
        except RuntimeError:
            say(2)
    assert numbers(gateway) == [2]


class InATestCase(TestCase):
    """Django's own TestCase never commits: callbacks run where they are captured."""

    def setUp(self):
        self.gateway = fakes.FakeGateway.on_tcp()
        self.addCleanup(self.gateway.close)
        changed = self.settings(GATEPOST={"SECRET": fakes.SECRET, "URL": self.gateway.url})
        changed.enable()
        self.addCleanup(changed.disable)

    def test_captured_and_executed(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            say(1)
            with transaction.atomic():
                say(2)
            try:
                with transaction.atomic():
                    say(3)
                    raise RuntimeError
            except RuntimeError:
                say(4)
        assert len(callbacks) == 3
        assert numbers(self.gateway) == [1, 2, 4]
        assert len(self.gateway.calls) == 1

    def test_not_captured(self):
        say(1)
        assert self.gateway.calls == []

    def test_captured_twice(self):
        for n in (1, 2):
            with self.captureOnCommitCallbacks(execute=True):
                say(n)
        assert numbers(self.gateway) == [1, 2]


# Asynchronous code


def test_asynchronous_code_waits_for_the_commit_around_it(gateway):
    """on_commit() itself refuses to be called from asynchronous code."""

    async def work():
        await anotify(Everyone, {"n": 1})
        await sync_to_async(say)(2)

    with transaction.atomic():
        async_to_sync(work)()
        assert gateway.calls == []
    assert numbers(gateway) == [1, 2]
    assert len(gateway.calls) == 1


def test_a_transaction_within_asynchronous_code_is_waited_for(gateway):
    def save():
        with transaction.atomic():
            say(1)
            assert gateway.calls == []
            get_user_model().objects.create_user("bob")
            say(2)

    async def work():
        await sync_to_async(save)()

    async_to_sync(work)()
    assert numbers(gateway) == [1, 2]


def test_an_atomic_rollback_around_asynchronous_code_sends_nothing(gateway):
    async def work():
        await anotify(Everyone, {"n": 1})

    try:
        with transaction.atomic():
            async_to_sync(work)()
            raise RuntimeError
    except RuntimeError:
        assert gateway.calls == []


def test_revoke_and_recheck_have_asynchronous_twins(gateway, user):
    async def work():
        await arevoke(user, reason="banned")
        await arecheck([user])

    run(work)
    assert [call.path for call in gateway.calls] == ["/v1/revoke", "/v1/recheck"]
    assert (anotify.__name__, arevoke.__name__, arecheck.__name__) == (
        "anotify",
        "arevoke",
        "arecheck",
    )


def test_a_lazy_user_may_be_given_to_asynchronous_code(gateway, at, log_in, user):
    """Looking at it asks the database, which asynchronous code must not."""

    async def view(request):
        await anotify(request.user, {"n": 1})
        return HttpResponse()

    at(view=view)
    browser = AsyncClient()
    browser.cookies = log_in().cookies
    assert run(browser.get, "/view/").status_code == 200
    assert gateway.publications[0]["to"] == {"user": str(user.pk)}


# How loudly


def test_a_gateway_that_is_away_raises_where_that_is_asked_for(gateway, settings):
    settings.GATEPOST = {**settings.GATEPOST, "FAIL_SILENTLY": False}
    gateway.script = [fakes.problem(503, "draining"), fakes.problem(503, "draining")]
    with pytest.raises(GatewayError, match="draining"):
        say(1)

    @transaction.atomic
    def sign_up():
        get_user_model().objects.create_user("bob")
        say(2)

    with pytest.raises(GatewayError, match="draining"):
        sign_up()
    # It was committed all the same.
    assert get_user_model().objects.filter(username="bob").exists()


def test_a_failure_after_the_commit_hurts_no_other_callback(gateway):
    ran = []
    gateway.script = [fakes.problem(500, "broken")]
    with transaction.atomic():
        say(1)
        transaction.on_commit(lambda: ran.append(1))
    assert ran == [1]


# Workers that live long


def test_a_worker_thread_that_lives_through_many_tasks(gateway):
    """As Celery's do: a connection each, and nothing left over from a task that failed."""

    def task(n):
        try:
            with transaction.atomic():
                say(n)
                if n % 2:
                    raise RuntimeError
        except RuntimeError:
            return

    def work():
        for n in range(10):
            task(n)
        transaction.get_connection().close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert numbers(gateway) == [0, 2, 4, 6, 8]
    assert len({call.connection for call in gateway.calls}) == 1


def test_a_request_after_a_failed_one_inherits_nothing(gateway, at):
    def view(request):
        with transaction.atomic():
            say(int(request.GET["n"]))
            if "fail" in request.GET:
                raise RuntimeError
        return HttpResponse()

    at(view=view)
    browser = Client(raise_request_exception=False)
    for query in ("n=1&fail=1", "n=2", "n=3&fail=1", "n=4"):
        browser.get(f"/view/?{query}")
    assert numbers(gateway) == [2, 4]
