"""Gatepost-Identity: who a session is, told along with ordinary responses."""

import pytest
from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from through import AsyncThrough, Through, riding, run

import fakes
from gatepost import throttle
from gatepost.answering import identity
from gatepost.signing.digest import session_digest

pytestmark = pytest.mark.django_db

BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture(autouse=True)
def _nothing_told():
    identity._sent.clear()


@pytest.fixture
def browser(log_in):
    browser = Through()
    browser.cookies = log_in().cookies
    return browser


@pytest.fixture
def visit(at):
    """Opens a page whose view does what it is given."""

    def visit(browser, work=None, **options):
        def view(request):
            said = work(request) if work else None
            return said if isinstance(said, HttpResponse) else HttpResponse(b"page")

        at(view=view)
        return browser.get("/view/", **options)

    return visit


def touch(request):
    assert request.user.is_authenticated


def told(response):
    return riding(response, "Identity")


def key_of(browser):
    return browser.cookies["sessionid"].value


def answer_to(ask, key):
    return {**ask(key).json(), "session": session_digest(fakes.SECRET.encode(), key)}


def test_it_is_what_the_auth_view_answers(engine, browser, visit, ask, user):
    user.groups.add(Group.objects.create(name="zoo"), Group.objects.create(name="art"))
    response = visit(browser, touch)
    said = told(response)
    assert said == answer_to(ask, key_of(browser))
    assert (said["user"], said["groups"]) == (str(user.pk), ["art", "zoo"])
    assert (said["expires_at"] is None) == (engine in ("cache", "file"))


def test_the_session_key_is_nowhere_in_it(browser, visit):
    said = str(told(visit(browser, touch)))
    assert key_of(browser) not in said


def test_past_the_gateway_nothing_is_told(visit, log_in):
    response = visit(log_in(), touch)
    assert not [name for name in response.headers if name.startswith("Gatepost")]


def test_a_forged_signature_is_told_nothing(visit, browser):
    response = visit(browser, touch, headers={"Gatepost-Signature": "t=1,v1=" + "0" * 64})
    assert told(response) is None


# What it costs


def test_a_request_that_does_not_ask_who_it_is_costs_nothing(browser, visit):
    with CaptureQueriesContext(connection) as queries:
        response = visit(browser)
    assert told(response) is None
    assert len(queries) == 0


def test_one_that_only_reads_its_session_costs_nothing_more(browser, visit):
    with CaptureQueriesContext(connection) as queries:
        response = visit(browser, lambda request: request.session.get("cart"))
    assert told(response) is None
    assert len(queries) == 1


def test_it_costs_the_sessions_end_and_the_groups(engine, browser, visit):
    with CaptureQueriesContext(connection) as without:
        visit(browser, touch, headers={"Gatepost-Signature": "no"})
    with CaptureQueriesContext(connection) as queries:
        assert told(visit(browser, touch)) is not None
    expected = 2 if engine in ("db", "cached_db") else 1
    assert len(queries) - len(without) == expected
    assert all(query["sql"].startswith("SELECT") for query in queries)


def test_what_a_page_fetches_afterwards_costs_nothing(browser, visit):
    fetched = {"Sec-Fetch-Dest": "empty"}
    assert told(visit(browser, touch, headers=fetched)) is not None
    assert told(visit(browser, touch, headers=fetched)) is None
    assert told(visit(browser, touch, headers={"Sec-Fetch-Dest": "document"})) is not None
    assert told(visit(browser, touch, headers={"Sec-Fetch-Dest": "image"})) is None
    assert told(visit(browser, touch)) is not None  # An old browser, or none at all.


def test_later_on_it_is_told_again(browser, visit, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(throttle.time, "monotonic", lambda: clock[0])
    fetched = {"Sec-Fetch-Dest": "empty"}
    assert told(visit(browser, touch, headers=fetched)) is not None
    clock[0] += identity._sent.every
    assert told(visit(browser, touch, headers=fetched)) is not None


def test_only_so_many_sessions_are_remembered(monkeypatch, browser, visit):
    monkeypatch.setattr(identity._sent, "most_keys", 1)
    other = Through()
    other.force_login(get_user_model().objects.create_user("bob"))
    fetched = {"Sec-Fetch-Dest": "empty"}
    for one in (browser, other, browser):
        assert told(visit(one, touch, headers=fetched)) is not None
    assert len(identity._sent) == 1


# Whose it is


def test_of_nobody_nothing_is_told(visit, engine):
    def shop(request):
        request.session["cart"] = [1]
        str(request.user)

    browser = Through()
    assert told(visit(browser, shop)) is None
    assert told(visit(browser, shop)) is None


def test_a_login_tells_of_the_new_session(engine, visit, ask, user):
    browser = Through()
    visit(browser, lambda request: request.session.update({"cart": [1]}))
    before = key_of(browser)
    response = visit(browser, lambda request: login(request, user, backend=BACKEND))
    after = key_of(browser)
    assert before != after
    assert told(response) == answer_to(ask, after)
    assert told(response)["user"] == str(user.pk)


def test_a_login_after_a_look_at_the_anonymous_user_tells_of_the_new_one(visit, user):
    def work(request):
        assert request.user.is_anonymous
        login(request, user, backend=BACKEND)

    assert told(visit(Through(), work))["user"] == str(user.pk)


def test_a_changed_password_tells_of_the_new_key(engine, browser, visit, ask):
    def change(request):
        request.user.set_password("another one")
        request.user.save()
        update_session_auth_hash(request, request.user)

    before = key_of(browser)
    response = visit(browser, change)
    assert key_of(browser) != before
    assert told(response) == answer_to(ask, key_of(browser))
    assert told(response)["user"]


def test_a_changed_password_without_a_new_key_tells_nothing(engine, browser, visit):
    """The session is over with this response."""

    def change(request):
        request.user.set_password("another one")
        request.user.save()

    assert told(visit(browser, change)) is None


def test_a_logout_tells_nothing(engine, browser, visit):
    def leave(request):
        touch(request)
        logout(request)

    assert told(visit(browser, leave)) is None


def test_a_logout_with_a_message_tells_nothing(browser, visit):
    """It makes a new anonymous session instead of deleting the cookie."""

    def leave(request):
        touch(request)
        logout(request)
        request.session["message"] = "Bye."

    assert told(visit(browser, leave)) is None


def test_a_login_that_fails_with_500_tells_nothing(visit, user):
    """SessionMiddleware sets no cookie then: the browser still has the session it had."""

    def work(request):
        login(request, user, backend=BACKEND)
        return HttpResponse(status=500)

    assert told(visit(Through(), work)) is None


def test_an_admin_who_acts_as_somebody_else_is_still_the_admin(browser, visit, user):
    other = get_user_model().objects.create_user("bob")

    def impersonate(request):
        touch(request)
        request.user = other

    assert told(visit(browser, impersonate))["user"] == str(user.pk)


def test_a_user_by_a_token_says_nothing_about_the_session(browser, visit, user):
    """The session is loaded, but nobody has checked whose it is; its password is an old one."""

    def by_token(request):
        request.session.get("cart")
        request.user = get_user_model().objects.get(pk=user.pk)

    user.set_password("another one")
    user.save()
    assert told(visit(browser, by_token)) is None


def test_an_inactive_user_is_nobody(browser, visit, user):
    def deactivate(request):
        touch(request)
        request.user.is_active = False

    assert told(visit(browser, deactivate)) is None


@pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
def test_a_session_that_another_request_ended_meanwhile_is_not_told(engine, browser, visit):
    def work(request):
        touch(request)
        Session.objects.all().delete()

    assert told(visit(browser, work)) is None


def test_a_project_with_first_frames_is_asked_at_the_handshake(browser, visit, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": lambda user: [{}]}
    assert told(visit(browser, touch)) is None


@pytest.mark.parametrize("resolver", ["request", "test_identity.touch"])
def test_a_project_whose_users_are_not_in_sessions_is_asked(browser, visit, settings, resolver):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": resolver}
    assert told(visit(browser, touch)) is None


def test_it_never_writes(engine, browser, visit, settings):
    visit(browser, touch)
    before = list(Session.objects.values_list()), dict(caches["default"]._cache)
    response = visit(browser, touch)
    assert told(response) is not None
    assert not response.cookies
    assert (list(Session.objects.values_list()), dict(caches["default"]._cache)) == before


def test_a_failure_costs_no_page(browser, visit, settings, caplog):
    def broken(user):
        raise RuntimeError("groups are broken")

    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": broken}
    response = visit(browser, touch)
    assert response.content == b"page"
    assert told(response) is None
    assert "cannot tell the gateway who a session is" in caplog.text


def test_more_groups_than_a_header_takes_are_not_told(browser, visit, settings):
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": lambda user: ["x" * 100] * 100}
    assert told(visit(browser, touch)) is None


def test_a_bearer_of_another_sessions_cookie_gets_what_is_his(visit, browser, log_in, user):
    """The digest in it is that of the cookie that the browser has."""
    said = told(visit(browser, touch))
    other = Through()
    other.cookies = log_in().cookies
    assert told(visit(other, touch))["session"] != said["session"]


# Asynchronous Django


def test_asynchronous_views_tell_too(at, log_in, ask, user):
    async def view(request):
        if hasattr(request, "auser"):
            assert (await request.auser()).is_authenticated
        return HttpResponse()

    def synchronous(request):
        touch(request)
        return HttpResponse()

    at(view=view, synchronous=synchronous)
    browser = AsyncThrough()
    browser.cookies = log_in().cookies
    for path in ["/synchronous/"] + ["/view/"] * hasattr(Client, "asession"):
        assert told(run(browser.get, path)) == answer_to(ask, key_of(browser))
