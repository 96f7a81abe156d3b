"""@gatepost.socket: Django's own view of a socket's path says who may listen there."""

import time
from datetime import datetime, timedelta, timezone

import django
import pytest
from conftest import HEADERS
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required, permission_required, user_passes_test
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from through import Through, run

import fakes
import gatepost
from gatepost import Topic, notify
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/"


@pytest.fixture
def note():
    return Note.objects.create()


@pytest.fixture
def question(storage):
    """Asks the view as the gateway does, and proves that nothing was written and no cookie set."""

    def question(browser=None, path=PATH, **changes):
        client = Client(raise_request_exception=False)
        cookie = browser.cookies["sessionid"].value if browser else None
        if cookie:
            client.cookies["sessionid"] = cookie
        before = storage()
        response = client.get(path, headers=fakes.signed_fields("GET", path, **HEADERS), **changes)
        assert storage() == before
        assert not response.cookies
        return response

    return question


def listening(*topics, **options):
    """Return a view that lets everybody listen who gets so far."""

    @gatepost.socket
    def view(request):
        return gatepost.listen(*topics, **options)

    return view


# What it answers


def test_a_view_says_who_may_listen(at, question, log_in, note, user):
    at(ws=listening(Topic(note), "news", frames=[{"n": 1}]))
    response = question(log_in())
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    assert response["Gatepost-Session-Cookie"] == "sessionid; Path=/"
    said = response.json()
    assert said.pop("expires_at") > time.time()
    assert said == {
        "v": 1,
        "user": str(user.pk),
        "groups": [],
        "lease": None,
        "frames": [{"n": 1}],
        "topics": [f"people.note:{note.pk}", "news"],
    }


def test_it_says_as_much_of_the_session_as_the_auth_view(at, question, ask, log_in, user):
    user.groups.create(name="staff")
    at(ws=listening())
    browser = log_in()
    assert question(browser).json() == {**ask(client=browser).json(), "topics": []}


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (datetime(2030, 1, 1, tzinfo=timezone.utc), 1893456000),
        (datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1893452400),
        (datetime(2030, 1, 1), 1893456000 + 6 * 3600),  # noqa: DTZ001 - of America/Chicago
        (timedelta(minutes=1), None),
        (60, None),
        (59.5, None),
    ],
)
def test_subscriptions_end_when_the_view_says(at, question, log_in, expires, expected):
    at(ws=listening("news", expires=expires))
    now = time.time()
    said = question(log_in()).json()["topics_expire"]
    assert said == expected if expected else now + 59 <= said <= now + 62


def test_first_frames_are_the_view_s_or_those_of_the_settings(at, question, log_in, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": lambda user: [{"of": "settings"}]}
    browser = log_in()
    for options, frames in (
        ({}, [{"of": "settings"}]),
        ({"frames": []}, []),
        ({"frames": ({"n": n} for n in (1, 2))}, [{"n": 1}, {"n": 2}]),
    ):
        at(ws=listening(**options))
        assert question(browser).json()["frames"] == frames


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"frames": "x"}, TypeError),
        ({"frames": {"type": "x"}}, TypeError),
        ({"frames": [{"gatepost": "x"}]}, ValueError),
        ({"frames": [float("nan")]}, ValueError),
        ({"frames": [object()]}, TypeError),
        ({"frames": ["x" * 60_000]}, ValueError),
        ({"expires": "soon"}, TypeError),
        ({"expires": True}, TypeError),
        ({"expires": 1893456000}, ValueError),
    ],
)
def test_what_is_wrong_is_wrong_at_the_view_s_line(options, error):
    with pytest.raises(error):
        gatepost.listen("news", **options)


def test_without_the_decorator_nothing_is_said(at, log_in, note):
    at(ws=lambda request: gatepost.listen(Topic(note), frames=[{"secret": 1}]))
    response = log_in().get(PATH)
    assert response.status_code == 501
    assert b"@gatepost.socket" in response.content
    assert b"note" not in response.content


@pytest.mark.parametrize("said", [None, {"topics": []}, HttpResponse("ok")])
def test_a_view_that_returns_something_else_fails(at, question, log_in, caplog, said):
    at(ws=gatepost.socket(lambda request: said))
    assert question(log_in()).status_code == 500
    assert "returns gatepost.listen" in caplog.text


# Who may ask


def test_there_is_nothing_for_anybody_else(at, log_in, note):
    at(ws=listening(Topic(note)))
    for browser in (Client(), log_in()):
        assert browser.get(PATH).status_code == 404
    passed_on = Through()
    passed_on.cookies["sessionid"] = log_in().cookies["sessionid"].value
    assert passed_on.get(PATH).status_code == 404
    forged = {"Gatepost-Signature": "t=1,v1=" + "0" * 64}
    assert Client().get(PATH, headers=forged).status_code == 404
    signed_elsewhere = fakes.signed_fields("GET", "/other/", **HEADERS)
    assert Client().get(PATH, headers=signed_elsewhere).status_code == 404


def test_not_even_a_login_for_who_opens_it_in_a_browser(at, log_in, settings):
    """A mixin outside of the decorator would have answered before it."""
    settings.DEBUG = True
    page = login_required(lambda request: HttpResponse())
    at(ws=login_required(listening()), get=WithGet.as_view(), page=page)
    for browser in (Client(), Through(), log_in()):
        assert browser.get(PATH).status_code == 404
        assert browser.get("/get/").status_code == 404
    assert Client().get("/page/").status_code == 302


def test_debug_makes_no_difference(at, settings, log_in):
    settings.DEBUG = True
    at(ws=listening())
    assert log_in().get(PATH).status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_only_questions_are_answered(at, log_in, method):
    at(ws=listening())
    signed = fakes.signed_fields(method.upper(), PATH, **HEADERS)
    response = Client().generic(method.upper(), PATH, headers=signed)
    assert response.status_code == 405


# Who may listen


def test_nobody_is_401(at, question):
    at(ws=listening("news"))
    assert question().status_code == 401


def test_a_view_may_let_visitors_listen(at, question, log_in, user):
    @gatepost.socket(anonymous=True)
    def view(request):
        return gatepost.listen("news", frames=[{"you": request.user.is_authenticated}])

    at(ws=view)
    said = question().json()
    assert (said["user"], said["topics"], said["frames"]) == (None, ["news"], [{"you": False}])
    assert question(log_in()).json()["user"] == str(user.pk)


def test_who_may_not_see_the_object_may_not_listen(at, question, log_in, note):
    @gatepost.socket
    def view(request):
        return gatepost.listen(Topic(get_object_or_404(Note, pk=note.pk, text="mine")))

    at(ws=view)
    assert question(log_in()).status_code == 404
    note.text = "mine"
    note.save()
    assert question(log_in()).status_code == 200


def test_a_refusal_of_the_view_stands(at, question, log_in):
    def refuse(request):
        raise PermissionDenied

    at(ws=gatepost.socket(refuse), own=gatepost.socket(lambda request: HttpResponse(status=403)))
    assert question(log_in()).status_code == 403
    assert question(log_in(), "/own/").status_code == 403


def decorated(decorator, *, inside):
    if inside:
        return gatepost.socket(decorator(lambda request: gatepost.listen("news")))
    return decorator(listening("news"))


class InsideMixin(LoginRequiredMixin, PermissionRequiredMixin, View):
    permission_required = "people.follow"

    def get(self, request):
        return gatepost.listen("news")


@method_decorator(gatepost.socket, name="dispatch")
class WithDispatch(InsideMixin):
    pass


class WithGet(InsideMixin):
    @method_decorator(gatepost.socket)
    def get(self, request):
        return gatepost.listen("news")


NEEDS_PERMISSION = {
    "login and permission_required": lambda inside: decorated(
        lambda view: login_required(permission_required("people.follow")(view)), inside=inside
    ),
    "permission_required that raises": lambda inside: decorated(
        permission_required("people.follow", raise_exception=True), inside=inside
    ),
    "a login page of another name": lambda inside: decorated(
        user_passes_test(
            lambda user: user.has_perm("people.follow"),
            login_url="/entrance/",
            redirect_field_name="back",
        ),
        inside=inside,
    ),
    "a mixin": lambda inside: (
        gatepost.socket(InsideMixin.as_view()) if inside else WithDispatch.as_view()
    ),
    "a mixin around get": lambda inside: WithGet.as_view(),
}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("way", NEEDS_PERMISSION)
def test_what_keeps_from_a_page_keeps_from_its_socket(at, question, log_in, way, inside):
    """401 sends a page to the login; 403 must not, or it would come back for ever."""
    at(ws=NEEDS_PERMISSION[way](inside))
    assert question().status_code == 401
    assert question(log_in()).status_code == 403
    admin = get_user_model().objects.create_superuser("admin")
    assert question(log_in(admin)).json()["topics"] == ["news"]


def test_a_middleware_that_asks_for_a_login_is_understood(at, question, log_in, settings):
    at(ws=listening())
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "test_socket_views.require_staff"]
    assert question().status_code == 401
    assert question(log_in()).status_code == 403


def require_staff(get_response):
    def middleware(request):
        if not request.user.is_staff:
            return HttpResponseRedirect(f"/accounts/login/?next={request.path}")
        return get_response(request)

    return middleware


def test_a_decorator_that_hides_the_view_hides_no_question(at, question, log_in):
    def hiding(view):
        return lambda request: view(request)

    at(ws=hiding(login_required(listening("news"))))
    assert question(log_in(), HTTP_X_ORIGINAL_URI=PATH).json()["topics"] == ["news"]
    assert question(HTTP_X_ORIGINAL_URI=PATH).status_code == 401


def test_an_auth_view_of_the_project_s_own_is_left_as_it_is(at, log_in):
    """It is asked in the same way, and may write: what it sets reaches the browser with the 101."""

    def own(request):
        request.session["asked"] = True
        return HttpResponse("{}", content_type="application/json")

    at(own=own, members=login_required(own))
    browser = log_in()
    signed = fakes.signed_fields("GET", "/own/", **HEADERS)
    response = browser.get("/own/", headers={**signed, "X-Original-URI": "/ws/"})
    assert "sessionid" in response.cookies
    assert browser.session["asked"]
    signed = fakes.signed_fields("GET", "/members/", **HEADERS)
    assert Client().get("/members/", headers=signed).status_code == 302


def test_another_redirect_is_none_of_a_login(at, question, log_in):
    at(ws=gatepost.socket(lambda request: HttpResponseRedirect("/elsewhere/")))
    assert question(log_in()).status_code == 302


@pytest.mark.skipif(django.VERSION < (5, 1), reason="new in 5.1")
def test_djangos_own_middleware_leaves_visitors_to_the_view(at, question, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    at(ws=gatepost.socket(lambda request: gatepost.listen("news"), anonymous=True), no=listening())
    assert question().json()["topics"] == ["news"]
    assert question(path="/no/").status_code == 401


# It only reads


def test_a_question_prolongs_no_session(at, question, engine, log_in, settings, user):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    at(ws=login_required(listening()))
    assert question(log_in()).json()["user"] == str(user.pk)
    assert question().status_code == 401


def test_what_a_view_writes_into_the_session_is_gone(at, question, engine, log_in, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "project.middleware.write_session"]

    @gatepost.socket
    def view(request):
        request.session["seen"] = True
        request.session.save()
        request.session.cycle_key()
        return gatepost.listen()

    at(ws=view)
    assert question(log_in()).status_code == 200


def test_a_fallback_key_still_logs_in_and_cycles_nothing(at, question, engine, log_in, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "test_socket_views.look_at_user"]
    at(ws=login_required(listening()))
    browser = log_in()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    assert question(browser).status_code == 200
    assert question(browser).status_code == 200


def look_at_user(get_response):
    def middleware(request):
        assert str(request.user)
        return get_response(request)

    return middleware


def test_after_a_password_change_nobody_is_logged_in(at, question, engine, log_in, user):
    at(ws=login_required(listening()))
    browser = log_in()
    user.set_password("battery staple")
    user.save()
    assert question(browser).status_code == 401


def test_a_csrf_token_that_was_made_sets_no_cookie(at, question, log_in, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "project.middleware.make_csrf_token"]
    at(ws=listening())
    assert question(log_in()).status_code == 200


def test_a_message_for_the_next_page_breaks_nothing(at, question, log_in, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

    def view(request):
        messages.info(request, "seen")
        return gatepost.listen()

    at(ws=gatepost.socket(view))
    assert question(log_in()).status_code == 200


def test_a_question_costs_few_queries(at, question, log_in, user):
    at(ws=login_required(listening()))
    browser = log_in()
    with CaptureQueriesContext(connection) as queries:
        question(browser)
    own = [one["sql"] for one in queries if "django_session" not in one["sql"]]
    assert len(own) == 2, own  # The user, and its groups.
    reads = [one["sql"] for one in queries if "django_session" in one["sql"]]
    assert len(reads) == 3, reads  # One, beside the two of this test's own storage().


def test_the_user_is_read_once(at, question, log_in, user):
    @gatepost.socket
    def view(request):
        return gatepost.listen(frames=[request.user.get_username()])

    at(ws=view)
    browser = log_in()
    with CaptureQueriesContext(connection) as queries:
        assert question(browser).json()["frames"] == ["ann"]
    own = [one["sql"] for one in queries if "django_session" not in one["sql"]]
    assert len(own) == 1, own  # The user with its groups.


def test_without_the_middleware_it_is_much_the_same(at, question, log_in, settings, user):
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    settings.SESSION_SAVE_EVERY_REQUEST = True
    at(ws=listening("news"))
    assert question(log_in()).json()["user"] == str(user.pk)
    assert question().status_code == 401
    assert Client().get(PATH).status_code == 404


def test_no_cache_keeps_it(at, question, log_in, settings):
    update, fetch = (
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    )
    ours, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [ours, update, *others, fetch]
    caches["default"].clear()
    at(ws=cache_page(600)(listening("news")))
    assert question(log_in()).status_code == 200
    assert question().status_code == 401


def test_what_it_publishes_leaves_at_once(at, question, log_in, gateway):
    def view(request):
        notify("42" if isinstance(request.user.pk, int) else request.user, {"n": 1})
        return gatepost.listen()

    at(ws=gatepost.socket(view))
    assert question(log_in()).status_code == 200
    assert len(gateway.publications) == 1


# Whose it is


def test_another_resolver_says_who_it_is(at, question, settings, user):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": lambda request: user}
    at(ws=listening("news"))
    assert question().json()["user"] == str(user.pk)


def test_who_acts_as_somebody_else_listens_as_the_session_s_user(at, question, log_in, user):
    other = get_user_model().objects.create_user("other")

    def view(request):
        request.user = other
        return gatepost.listen("news")

    at(ws=gatepost.socket(view))
    assert question(log_in()).json()["user"] == str(user.pk)


# Asynchronous views


@pytest.mark.parametrize("outside", [False, True])
def test_an_asynchronous_view_is_one_too(at, log_in, storage, user, outside):
    @gatepost.socket
    async def view(request):
        if outside:
            await request.session.acycle_key() if hasattr(request.session, "acycle_key") else None
        return gatepost.listen("news", frames=[{"n": 1}])

    at(ws=view)
    before = storage()
    for browser, status in ((log_in(), 200), (None, 401)):
        client = AsyncClient(raise_request_exception=False)
        if browser:
            client.cookies["sessionid"] = browser.cookies["sessionid"].value
            before = storage()
        signed = fakes.signed_fields("GET", PATH, **{**HEADERS, "host": "testserver"})
        del signed["Host"]
        response = run(client.get, PATH, headers=signed)
        assert response.status_code == status
        assert not response.cookies
        if status == 200:
            assert response.json()["topics"] == ["news"]
    assert storage() == before
    assert run(AsyncClient().get, PATH).status_code == 404
