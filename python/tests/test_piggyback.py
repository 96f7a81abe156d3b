"""What a request says rides on its response, or leaves at once where its order would be lost."""

import asyncio
import json
import threading

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import logout, update_session_auth_hash
from django.core.cache import caches
from django.db import connections, transaction
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import Client
from through import AsyncThrough, Through, run
from through import riding as rode

import fakes
from gatepost import Everyone, anotify, notify, recheck, revoke
from gatepost.outbox.models import Item
from gatepost.sending import piggyback
from gatepost.sending.calls import Publication, Recheck, Revocation

pytestmark = pytest.mark.django_db(transaction=True)


def say(n, **options):
    notify(Everyone, {"n": n}, **options)


def numbers(publications):
    return [publication["frame"]["n"] for publication in publications or []]


@pytest.fixture
def visit(at):
    """Opens a page, behind the gateway, whose view does what it is given."""

    def visit(work, browser=None, **options):
        def view(request):
            said = work(request) if work.__code__.co_argcount else work()
            return said if hasattr(said, "status_code") else HttpResponse("done")

        at(view=view)
        return (browser or Through()).get("/view/", **options)

    return visit


def test_a_publication_rides(gateway, visit, user):
    response = visit(lambda: notify(user, {"title": "Grüße"}, ttl=60, key="k", id="order-7"))
    assert rode(response, "Publish") == [
        {
            "to": {"user": str(user.pk)},
            "id": "order-7",
            "ttl": "60s",
            "key": "k",
            "frame": {"title": "Grüße"},
        }
    ]
    assert rode(response, "Revoke") is None
    assert gateway.calls == []


def test_without_the_gateway_it_calls_the_api(gateway, visit):
    response = visit(lambda: say(1), Client())
    assert numbers(gateway.publications) == [1]
    assert rode(response, "Publish") is None


def test_a_forged_signature_gets_no_publication(gateway, visit):
    response = visit(lambda: say(1), headers={"Gatepost-Signature": "t=1,v1=" + "0" * 64})
    assert numbers(gateway.publications) == [1]
    assert rode(response, "Publish") is None


def test_several_ride_in_order_after_the_commit(gateway, visit):
    def work():
        say(1)
        with transaction.atomic():
            say(2)
            say(3)
        say(4)

    assert numbers(rode(visit(work), "Publish")) == [1, 2, 3, 4]
    assert gateway.calls == []


def test_a_rollback_takes_it_off(gateway, visit):
    def work():
        say(1)
        try:
            with transaction.atomic():
                say(2)
                raise RuntimeError
        except RuntimeError:
            say(3)

    assert numbers(rode(visit(work), "Publish")) == [1, 3]


def test_atomic_requests_send_after_the_commit_or_not_at_all(gateway, visit, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    assert numbers(rode(visit(lambda: say(1)), "Publish")) == [1]

    def fail():
        say(2)
        raise RuntimeError

    response = visit(fail, Through(raise_request_exception=False))
    assert response.status_code == 500
    assert rode(response, "Publish") is None
    assert gateway.calls == []


def test_a_view_that_fails_outside_of_a_transaction_has_said_what_it_said(gateway, visit):
    def fail():
        say(1)
        raise RuntimeError

    response = visit(fail, Through(raise_request_exception=False))
    assert response.status_code == 500
    assert numbers(rode(response, "Publish")) == [1]


def test_an_exception_that_is_no_answer_sends_it_by_the_api(gateway, visit):
    class Stop(BaseException):
        pass

    def fail():
        say(1)
        raise Stop

    with pytest.raises(Stop):
        visit(fail)
    assert numbers(gateway.publications) == [1]


@pytest.mark.parametrize("kind", [StreamingHttpResponse, FileResponse])
def test_a_streaming_response_waits_for_nothing(gateway, visit, kind):
    def stream():
        say(2)
        yield b"x"
        say(3)

    def work():
        say(1)
        return kind(stream())

    response = visit(work)
    assert numbers(gateway.publications) == [1]
    assert b"".join(response.streaming_content) == b"x"
    assert numbers(gateway.publications) == [1, 2, 3]
    assert rode(response, "Publish") is None


# What does not fit


def test_what_fits_exactly_rides_and_a_byte_more_does_not(gateway, visit):
    empty = Publication({"everyone": True}, '""', "1").json()
    room = piggyback.LARGEST_HEADER // 4 * 3 - 2 - len(empty) - 1
    response = visit(lambda: notify(Everyone, "x" * room, id="1"))
    assert len(rode(response, "Publish")[0]["frame"]) == room
    assert gateway.calls == []
    response = visit(lambda: notify(Everyone, "x" * (room + 1), id="1"))
    assert rode(response, "Publish") is None
    assert len(gateway.publications[0]["frame"]) == room + 1


def test_what_overflows_is_not_overtaken(gateway, visit):
    def work():
        for n in range(300):
            notify(Everyone, {"n": n, "text": "ü" * 20})
            if n == 200:
                assert gateway.publications  # It has not been kept for the end.

    response = visit(work)
    called, ridden = numbers(gateway.publications), numbers(rode(response, "Publish"))
    assert called + ridden == list(range(300))
    assert called
    assert ridden


def test_a_transaction_that_overflows_is_one_call(gateway, visit):
    def work():
        with transaction.atomic():
            for n in range(1000):
                say(n)

    response = visit(work)
    assert len(gateway.calls) == 1
    assert numbers(gateway.publications) == list(range(1000))
    assert rode(response, "Publish") is None


def test_a_publication_after_a_revocation_does_not_overtake_it(gateway, visit, user):
    """The gateway reads Gatepost-Publish first."""

    def work():
        say(1)
        revoke(user)
        say(2)
        revoke(user, reason="again")

    response = visit(work)
    assert [call.path for call in gateway.calls] == ["/v1/publish", "/v1/revoke", "/v1/publish"]
    assert numbers(gateway.publications) == [1, 2]
    assert [said["reason"] for said in rode(response, "Revoke")] == ["again"]


def test_publications_before_revocations_ride_together(gateway, visit, user):
    def work():
        say(1)
        revoke(user, code=4003, reason="banned")

    response = visit(work)
    assert numbers(rode(response, "Publish")) == [1]
    expected = {"user": str(user.pk), "code": 4003, "reason": "banned"}
    assert rode(response, "Revoke") == [expected]
    assert gateway.calls == []


def test_progress_of_a_long_request_is_seen_while_it_lasts(gateway, visit, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(piggyback.time, "monotonic", lambda: clock[0])

    def work():
        say(1)
        clock[0] += piggyback.PATIENCE
        say(2)
        assert numbers(gateway.publications) == [1, 2]
        say(3)
        assert numbers(gateway.publications) == [1, 2, 3]

    assert rode(visit(work), "Publish") is None


# Rechecks come last: with them rides the new cookie of a changed password


def test_rechecks_ride_once_each(gateway, visit, user):
    def work():
        for _ in range(100):
            recheck(user)

    response = visit(work)
    assert rode(response, "Revoke") == [{"user": str(user.pk), "recheck": True}]
    assert gateway.calls == []


@pytest.mark.parametrize("streams", [True, False])
def test_rechecks_ride_even_where_the_rest_does_not(gateway, visit, user, streams):
    def work():
        recheck(user)
        say(1)
        notify(Everyone, "x" * 8000)
        return StreamingHttpResponse([b""]) if streams else HttpResponse()

    response = visit(work)
    assert {call.path for call in gateway.calls} == {"/v1/publish"}
    assert len(gateway.publications) == 2
    assert rode(response, "Revoke") == [{"user": str(user.pk), "recheck": True}]


def test_more_rechecks_than_fit_are_called(gateway, visit, user):
    def work():
        recheck([key(user, n) for n in range(12_000)])

    visit(work)
    rechecked = [json.loads(call.body) for call in gateway.calls if call.path == "/v1/recheck"]
    assert [len(said["users"]) for said in rechecked] == [10_000, 2_000]


def key(user, n):
    """Return a primary key of the kind that users have."""
    return n if isinstance(user.pk, int) else f"00000000-0000-4000-8000-{n:012}"


def test_a_changed_password_rides_with_the_new_cookie(gateway, visit, user, log_in):
    def change(request):
        request.user.set_password("another one")
        request.user.save()
        update_session_auth_hash(request, request.user)

    browser = Through()
    browser.cookies = log_in().cookies
    before = browser.cookies["sessionid"].value
    response = visit(change, browser)
    assert response.cookies["sessionid"].value != before
    assert rode(response, "Revoke") == [{"user": str(user.pk), "recheck": True}]
    assert gateway.calls == []


def test_a_logout_rides_and_survives_a_rollback(gateway, visit, log_in, monkeypatch):
    from django.contrib.auth import logout

    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    def leave_and_fail(request):
        logout(request)
        raise RuntimeError

    browser = Through(raise_request_exception=False)
    browser.cookies = log_in().cookies
    response = visit(leave_and_fail, browser)
    assert [said["reason"] for said in rode(response, "Revoke")] == ["logged out"]
    assert gateway.calls == []


# Threads, tasks and asynchronous views


@pytest.fixture
def visit_async(at):
    def visit_async(view):
        at(view=view)
        return run(AsyncThrough().get, "/view/")

    return visit_async


def test_what_an_asynchronous_view_says_rides(gateway, visit_async):
    async def view(request):
        say(1)
        await anotify(Everyone, {"n": 2})
        await sync_to_async(say)(3)
        await asyncio.create_task(anotify(Everyone, {"n": 4}))
        return HttpResponse()

    assert numbers(rode(visit_async(view), "Publish")) == [1, 2, 3, 4]
    assert gateway.calls == []


def test_what_an_asynchronous_view_says_under_wsgi_rides(gateway, at):
    async def view(request):
        await anotify(Everyone, {"n": 1})
        say(2)
        return HttpResponse()

    at(view=view)
    assert numbers(rode(Through().get("/view/"), "Publish")) == [1, 2]
    assert gateway.calls == []


def test_what_a_cancelled_request_said_is_sent(gateway, at):
    """As when a browser leaves in the middle of it."""

    async def view(request):
        await anotify(Everyone, {"n": 1})
        raise asyncio.CancelledError

    at(view=view)
    with pytest.raises(asyncio.CancelledError):
        run(AsyncThrough().get, "/view/")
    assert numbers(gateway.publications) == [1]


@pytest.mark.parametrize("streams", [True, False])
def test_a_gateway_that_is_away_spoils_no_response(gateway, visit, settings, streams, caplog):
    settings.GATEPOST = {**settings.GATEPOST, "FAIL_SILENTLY": False}
    gateway.script = [fakes.problem(503, "draining")]

    def work():
        say(1)
        return StreamingHttpResponse([b"x"]) if streams else HttpResponse(b"x")

    assert visit(work).getvalue() == b"x"
    assert ("what a request published was not sent" in caplog.text) == streams


def test_what_a_synchronous_view_says_in_asynchronous_django_rides(gateway, visit_async):
    def view(request):
        with transaction.atomic():
            say(1)
            say(2)
        return HttpResponse()

    assert numbers(rode(visit_async(view), "Publish")) == [1, 2]


def test_what_overflows_in_an_asynchronous_view_is_not_overtaken(gateway, visit_async):
    async def view(request):
        for n in range(100):
            await anotify(Everyone, {"n": n, "text": "x" * 100})
        return HttpResponse()

    response = visit_async(view)
    called, ridden = numbers(gateway.publications), numbers(rode(response, "Publish"))
    assert called + ridden == list(range(100))
    assert called
    assert ridden


def test_an_asynchronous_stream_calls_the_api(gateway, visit_async):
    async def stream():
        say(2)
        yield b"x"

    async def view(request):
        say(1)
        return StreamingHttpResponse(stream())

    async def read(response):
        return [part async for part in response.streaming_content]

    response = visit_async(view)
    assert numbers(gateway.publications) == [1]
    assert run(read, response) == [b"x"]
    assert numbers(gateway.publications) == [1, 2]


def test_an_asynchronous_view_that_fails_has_said_what_it_said(gateway, at):
    async def view(request):
        await anotify(Everyone, {"n": 1})
        raise RuntimeError

    at(view=view)
    response = run(AsyncThrough(raise_request_exception=False).get, "/view/")
    assert response.status_code == 500
    assert numbers(rode(response, "Publish")) == [1]


def test_a_task_that_outlives_its_request_calls_the_api(gateway, at):
    async def view(request):
        async def later():
            await go.wait()
            await anotify(Everyone, {"n": 1})

        tasks.append(asyncio.create_task(later()))
        return HttpResponse()

    async def both():
        response = await AsyncThrough().get("/view/")
        go.set()
        await tasks[0]
        return response

    go, tasks = asyncio.Event(), []
    at(view=view)
    assert rode(run(both), "Publish") is None
    assert numbers(gateway.publications) == [1]


def test_a_thread_of_a_view_calls_the_api(gateway, visit):
    def work():
        thread = threading.Thread(target=say, args=[1])
        thread.start()
        thread.join()

    response = visit(work)
    called, ridden = numbers(gateway.publications), numbers(rode(response, "Publish"))
    assert called + ridden == [1]  # A newer Python may hand the request on to the thread.


def test_requests_at_once_do_not_mix(gateway, at):
    barrier = threading.Barrier(4)

    def view(request):
        barrier.wait(10)
        say(int(request.GET["n"]))
        barrier.wait(10)
        return HttpResponse()

    def visit(n):
        ridden[n] = numbers(rode(Through().get(f"/view/?n={n}"), "Publish"))

    at(view=view)
    ridden = {}
    threads = [threading.Thread(target=visit, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ridden == {n: [n] for n in range(4)}


def test_after_a_request_the_api_is_called_again(gateway, visit):
    visit(lambda: say(1))
    say(2)
    assert numbers(gateway.publications) == [2]


# Backends


def test_another_backend_is_never_passed_by(visit, settings, monkeypatch):
    from gatepost.backends import console

    seen = []
    monkeypatch.setattr(console.Backend, "send", lambda self, calls: seen.extend(calls))
    settings.GATEPOST = {**settings.GATEPOST, "BACKEND": "gatepost.backends.console.Backend"}
    assert rode(visit(lambda: say(1)), "Publish") is None
    assert len(seen) == 1


# Several gateways: the response reaches one of them


@pytest.fixture
def two(settings):
    pair = [fakes.FakeGateway.on_tcp(), fakes.FakeGateway.on_tcp()]
    settings.GATEPOST = {**settings.GATEPOST, "URL": [one.url for one in pair]}
    yield pair
    for one in pair:
        one.close()


def test_what_several_gateways_must_hear_is_sent_to_each(two, visit, user):
    def work():
        say(1)
        revoke(user)
        recheck(user)

    response = visit(work)
    for one in two:
        told = ["/v1/publish", "/v1/revoke", "/v1/recheck"]
        assert [call.path for call in one.calls] == told
    assert rode(response, "Publish") is None
    # At once it would ask with the key that a change of the password replaces by this response.
    assert [entry.get("recheck") for entry in rode(response, "Revoke")] == [True]


@pytest.mark.parametrize("outbox", [False, True])
def test_a_logout_reaches_each_gateway(two, visit, log_in, settings, outbox):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": outbox}
    browser = Through()
    browser.cookies.update(log_in().cookies)
    response = visit(auth_logout, browser)
    for one in two:
        assert [call.path for call in one.calls] == ["/v1/revoke"]
    # The one that passes the response on closes when the browser has it.
    assert len(rode(response, "Revoke")) == 1


def auth_logout(request):
    logout(request)


# What an earlier response, or another server, said


def test_what_a_cache_keeps_of_a_response_rides_once(gateway, visit, settings):
    caching = "django.middleware.cache.{}CacheMiddleware"
    first, last = caching.format("Update"), caching.format("FetchFrom")
    settings.MIDDLEWARE = [first, *settings.MIDDLEWARE, last]
    caches["default"].clear()
    browser = Through()
    assert numbers(rode(visit(lambda: say(1), browser), "Publish")) == [1]
    from_cache = visit(lambda: pytest.fail("it is cached"), browser)
    assert from_cache.content == b"done"
    assert rode(from_cache, "Publish") is None
    past_the_gateway = visit(lambda: None, Client(), secure=True, headers={"host": Through.host})
    assert past_the_gateway.content == b"done"
    assert rode(past_the_gateway, "Publish") is None


@pytest.mark.parametrize("browser", [Client, Through])
@pytest.mark.parametrize("name", ["Publish", "Revoke", "Identity"])
def test_only_the_middleware_speaks_to_the_gateway(gateway, visit, browser, name):
    passed_on = HttpResponse("said by another server", headers={f"gatepost-{name}": "W10"})
    assert rode(visit(lambda: passed_on, browser()), name) is None


def test_asynchronous_django_takes_it_off_too(at):
    async def view(request):
        return HttpResponse("said by another server", headers={"Gatepost-Revoke": "W10"})

    at(view=view)
    assert rode(run(AsyncThrough().get, "/view/"), "Revoke") is None


# The gateway's own questions: it reads nothing but the answer


def test_nothing_rides_on_the_answer_to_the_gateway(gateway, ask, log_in, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": lambda user: say(1)}
    response = ask(client=log_in())
    assert response.json()["user"]
    assert rode(response, "Publish") is None
    assert numbers(gateway.publications) == [1]


class LastSeen:
    """As many projects have it: saves the user at each request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.user.save()
        return self.get_response(request)


@pytest.mark.parametrize("outbox", [False, True])
def test_a_question_does_not_make_the_gateway_ask_again(gateway, ask, log_in, settings, outbox):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.LastSeen"]
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": outbox}
    response = ask(client=log_in())
    assert response.json()["user"]
    assert rode(response, "Revoke") is None
    assert gateway.calls == []
    assert not Item.objects.exists()


def test_kinds_that_ride_are_told_apart():
    collected = piggyback.Piggyback()
    calls = [Publication({"everyone": True}, "1", "1"), Revocation({"user": "1"}, "x")]
    assert collected.add(calls) == []
    assert collected.add([Recheck({"user": "1"})]) == []
    late = Publication({"everyone": True}, "2", "2")
    assert collected.add([late]) == [*calls, late]
    assert collected.discard() == [Recheck({"user": "1"})]
    assert collected.add([late]) == [late]


# What was said before a logout, and commits after it


def greet_and_leave(request):
    notify(request.user, {"n": 1})
    logout(request)
    return HttpResponse("bye")


@pytest.fixture
def atomic(settings):
    """ATOMIC_REQUESTS, as projects have it."""
    database = connections["default"].settings_dict
    before = database["ATOMIC_REQUESTS"]
    database["ATOMIC_REQUESTS"] = True
    yield
    database["ATOMIC_REQUESTS"] = before


@pytest.fixture
def browser(log_in):
    browser = Through()
    browser.cookies.update(log_in().cookies)
    return browser


@pytest.mark.parametrize("patience", [3600, 0])
def test_a_frame_before_a_logout_comes_before_the_close(
    gateway, visit, atomic, browser, monkeypatch, patience
):
    monkeypatch.setattr(piggyback, "PATIENCE", patience)
    response = visit(greet_and_leave, browser)
    if patience:
        assert numbers(rode(response, "Publish")) == [1]
        assert [one["reason"] for one in rode(response, "Revoke")] == ["logged out"]
        assert gateway.calls == []
    else:
        assert [call.path for call in gateway.calls] == ["/v1/publish", "/v1/revoke"]


def test_so_it_does_where_it_has_to_be_sent(gateway, visit, atomic, browser):
    def work(request):
        greet_and_leave(request)
        return StreamingHttpResponse([b"bye"])

    visit(work, browser)
    assert [call.path for call in gateway.calls] == ["/v1/publish", "/v1/revoke"]


def test_so_it_does_at_several_gateways(two, visit, atomic, browser):
    response = visit(greet_and_leave, browser)
    for one in two:
        assert [call.path for call in one.calls] == ["/v1/publish", "/v1/revoke"]
    assert [one["reason"] for one in rode(response, "Revoke")] == ["logged out"]


@pytest.mark.parametrize("gateways", ["gateway", "two"])
def test_a_frame_after_a_logout_comes_after_the_close(request, visit, browser, gateways):
    told = request.getfixturevalue(gateways)

    def work(request):
        user = request.user
        logout(request)
        notify(user, {"n": 1})

    visit(work, browser)
    for one in told if gateways == "two" else [told]:
        assert [call.path for call in one.calls] == ["/v1/revoke", "/v1/publish"]


def test_a_logout_holds_where_the_request_fails(gateway, visit, atomic, browser):
    def work(request):
        greet_and_leave(request)
        raise RuntimeError

    browser.raise_request_exception = False
    response = visit(work, browser)
    assert rode(response, "Publish") is None
    assert len(rode(response, "Revoke")) == 1
    assert gateway.calls == []
