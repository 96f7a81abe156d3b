"""The middleware and the real gateway, with Django's live server behind it."""

import json
import ssl
import urllib.request

import pytest
from django.contrib.auth import logout, update_session_auth_hash
from django.http import HttpResponse, JsonResponse
from django.test import Client

from gatepost import notify
from gatepost.answering import resolving
from gatepost.backends import http
from gatepost.sending import client as api


@pytest.fixture
def browser(user):
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def visit(live_gateway):
    """Opens a page through the gateway with a browser's cookies, and returns its text."""

    def visit(browser, path, **headers):
        cookies = "; ".join(f"{name}={said.value}" for name, said in browser.cookies.items())
        request = urllib.request.Request(f"{live_gateway.url}{path}", headers=headers)
        request.add_header("Cookie", cookies)
        context: ssl.SSLContext = live_gateway.ssl_context()
        with urllib.request.urlopen(request, context=context) as page:
            assert not [name for name in page.headers if name.lower().startswith("gatepost-")]
            return page.read().decode()

    return visit


@pytest.fixture
def no_api(monkeypatch):
    """Nothing may be sent but on responses."""

    def refuse(*args):
        raise AssertionError("the API was called")

    monkeypatch.setattr(http, "_make", refuse)


@pytest.fixture
def asked(monkeypatch):
    """Counts how often the auth view is asked."""
    calls = []
    resolve = resolving.resolve
    monkeypatch.setattr(resolving, "resolve", lambda request: calls.append(1) or resolve(request))
    return calls


@pytest.mark.parametrize("path", ["/seen/", "/seen/%7e/?q=%7E", "/s%65en/", "/seen/?", "/seen/%E9"])
def test_django_sees_the_browser_whatever_the_spelling_of_the_path(
    live_gateway, visit, browser, path
):
    """This server hides the request line, as runserver does."""
    seen = json.loads(visit(browser, path, **{"X-Forwarded-For": "203.0.113.9"}))
    assert seen["trusted"] is True
    assert seen["secure"] is True
    assert seen["url"] == f"{live_gateway.url}/"
    assert seen["address"] == "127.0.0.1"


def test_what_a_view_says_rides_to_the_sockets(live_gateway, at, visit, browser, user, no_api):
    def view(request):
        notify(request.user, {"title": "Grüße"})
        notify(request.user, {"n": 2})
        return HttpResponse("done")

    at(view=view)
    with live_gateway.connect(client=browser) as socket:
        assert visit(browser, "/view/") == "done"
        assert [socket.receive(), socket.receive()] == [{"title": "Grüße"}, {"n": 2}]


def test_what_overflows_arrives_in_order(live_gateway, at, visit, browser):
    def view(request):
        for n in range(150):
            notify(request.user, {"n": n, "text": "x" * 100})
        return HttpResponse("done")

    at(view=view)
    with live_gateway.connect(client=browser) as socket:
        visit(browser, "/view/")
        assert [socket.receive()["n"] for _ in range(150)] == list(range(150))


def test_a_logout_rides_too(live_gateway, at, visit, browser, no_api):
    def leave(request):
        logout(request)
        return HttpResponse("bye")

    at(leave=leave)
    with live_gateway.connect(client=browser) as socket:
        visit(browser, "/leave/")
        assert socket.closed()[0] == 4001


def test_a_changed_password_closes_the_sockets_of_other_browsers_alone(
    live_gateway, at, visit, browser, user
):
    """The recheck rides on the very response that gives this browser its new cookie."""

    def change(request):
        request.user.set_password("another one")
        request.user.save()
        update_session_auth_hash(request, request.user)
        return HttpResponse("changed")

    at(change=change)
    other = Client()
    other.force_login(user)
    with (
        live_gateway.connect(client=browser) as here,
        live_gateway.connect(client=other) as elsewhere,
    ):
        assert visit(browser, "/change/") == "changed"
        assert elsewhere.closed()[0] == 4001
        notify(user, {"n": 1})
        assert here.receive() == {"n": 1}


def test_a_user_who_is_deactivated_or_deleted_is_gone(live_gateway, browser, user):
    for change in ("deactivate", "delete"):
        with live_gateway.connect(client=browser) as socket:
            user.is_active = change != "deactivate"
            user.save() if change == "deactivate" else user.delete()
            assert socket.closed()[0] == 4001
        type(user).objects.update(is_active=True)


def test_the_sender_may_be_left_out(live_gateway, at, visit, browser, user):
    def view(request):
        notify(request.user, {"n": 1}, exclude=request)
        notify(request.user, {"n": 2})
        sender = request.gatepost
        return JsonResponse({"online": sender.online, "connection": sender.connection})

    at(view=view)
    with live_gateway.connect(client=browser) as first:
        (mine,) = api.get(f"/v1/connections?user={user.pk}").json()["connections"]
        with live_gateway.connect(client=browser) as second:
            claimed = {"Gatepost-Connection": mine["connection"]}
            said = json.loads(visit(browser, "/view/", **claimed))
            assert said == {"online": 2, "connection": mine["connection"]}
            assert second.receive() == {"n": 1}
            assert second.receive() == first.receive() == {"n": 2}
            stranger = Client()
            stranger.force_login(type(user).objects.create_user("bob"))
            said = json.loads(visit(stranger, "/view/", **claimed))
            assert said["connection"] is None


def test_after_a_page_a_handshake_asks_nothing(live_gateway, visit, browser, asked):
    assert visit(browser, "/") == "ann"
    with live_gateway.connect(client=browser) as socket:
        assert socket.frames() == []
    assert asked == []


def test_without_a_page_it_asks_once(live_gateway, browser, asked):
    """Shows that the test above can fail."""
    with live_gateway.connect(client=browser) as socket:
        assert socket.frames() == []
    assert asked == [1]
