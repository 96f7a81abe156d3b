"""The batch view: who hundreds of sessions are, in as few queries as one."""

import json
import random
import sys
import time
import types
from datetime import timedelta

import django
import pytest
from conftest import AUTH, ENGINES
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group
from django.contrib.sessions.backends import cache, db
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import OperationalError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from through import signed_headers

pytestmark = pytest.mark.django_db

BATCH = "/_gatepost/sessions/"


def post(body, **changes):
    headers = {**signed_headers("POST", BATCH, body=body), **changes}
    return Client().post(BATCH, body, content_type="application/json", headers=headers)


@pytest.fixture
def asked(storage):
    """Asks about Cookie headers, and proves that nothing was written and no cookie set."""

    def asked(cookies, **more):
        before = storage()
        body = json.dumps({"sessions": cookies, **more}).encode()
        with CaptureQueriesContext(connection) as queries:
            response = post(body)
        assert response.status_code == 200, response.content
        assert not response.cookies
        assert storage() == before
        assert all(query["sql"].startswith("SELECT") for query in queries), queries.captured_queries
        asked.queries = len(queries)
        return response.json()["sessions"]

    return asked


class OfTheProjectsOwn(ModelBackend):
    """Finds its users by itself, one by one."""

    def get_user(self, user_id):
        return get_user_model().objects.filter(pk=user_id).first()


@pytest.fixture
def crowd(engine, settings):
    """Cookie headers of all kinds of sessions."""
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "test_batch.OfTheProjectsOwn",
    ]
    groups = [Group.objects.create(name=name) for name in ("zoo", "Art", "ämter", "crew")]
    cookies = ["", "other=1", "sessionid=", "sessionid=short", f"sessionid={'0' * 32}", "sessionid"]
    cookies += [
        "sessionid=../../etc/passwd",
        'sessionid="quoted; \\073"',
        "ü=ö; sessionid=üüüüüüüü",
    ]
    dice = random.Random(7)
    for n in range(9):
        user = get_user_model().objects.create_user(f"user{n}", password="x")
        user.groups.set(dice.sample(groups, n % 4))
        for backend in settings.AUTHENTICATION_BACKENDS:
            browser = Client()
            browser.force_login(user, backend=backend)
            key = browser.cookies["sessionid"].value
            cookies += [f"a=1; sessionid={key}; b=2", f"sessionid={'1' * 32}; sessionid={key}"]
            if n % 3 == 0 and engine in ("db", "cached_db"):
                end = timezone.now() + timedelta(seconds=dice.choice([-10, 60, 6000]))
                Session.objects.filter(pk=key).update(expire_date=end)
        if n == 5:
            user.set_password("another one")
            user.save()
        if n == 6:
            get_user_model().objects.filter(pk=user.pk).update(is_active=False)
        if n == 7:
            user.delete()
    anonymous = Client()
    session = anonymous.session
    session["cart"] = [1]
    session.save()
    named = session.session_key if engine == "signed_cookies" else None
    cookies.append(f"sessionid={named or anonymous.cookies['sessionid'].value}")
    dice.shuffle(cookies)
    return cookies


@pytest.mark.parametrize("key", ["as before", "rotated", "gone"])
def test_it_says_of_each_what_the_auth_view_says(asked, ask, crowd, settings, key):
    if key != "as before" and "signed" not in settings.SESSION_ENGINE:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if key == "rotated" else []
        settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    for _ in ("with what is cached", "without"):
        alone = {cookie: ask(HTTP_COOKIE=on_the_wire(cookie)).json() for cookie in crowd}
        assert asked(crowd) == [alone[cookie] for cookie in crowd]
        some = random.Random(8).sample(crowd, 10)
        assert asked(some) == [alone[cookie] for cookie in some]
        caches["default"].clear()


def on_the_wire(cookie):
    """Return text as WSGI gives it to Django."""
    return cookie.encode().decode("latin-1")


def test_the_crowd_has_answers_of_every_kind(asked, crowd, engine):
    """Shows that the test above compares something."""
    answers = asked(crowd)
    users = [answer["user"] for answer in answers if answer["user"]]
    assert len(users) >= 16
    assert answers.count(answers[crowd.index("")]) >= 10
    assert {len(answer["groups"]) for answer in answers} == {0, 1, 2, 3}


@pytest.fixture
def cookies(engine):
    """Cookie headers of 20 logged-in users with groups."""
    groups = [Group.objects.create(name=name) for name in ("a", "b", "c")]
    cookies = []
    for n in range(20):
        user = get_user_model().objects.create_user(f"user{n}")
        user.groups.set(groups[: n % 4])
        browser = Client()
        browser.force_login(user)
        cookies.append(f"sessionid={browser.cookies['sessionid'].value}")
    return cookies


@pytest.mark.parametrize("count", [1, 2, 20])
def test_the_number_of_queries_does_not_grow(asked, cookies, engine, count):
    answers = asked(cookies[:count])
    assert all(answer["user"] for answer in answers)
    assert asked.queries == (2 if engine in ("db", "cached_db") else 1)


@pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
def test_with_an_empty_cache_neither(asked, cookies, engine):
    caches["default"].clear()
    assert all(answer["user"] for answer in asked(cookies))
    assert asked.queries == 2


@pytest.mark.parametrize("engine", ["cache", "cached_db"], indirect=True)
def test_the_cache_is_asked_once(asked, cookies, engine, monkeypatch):
    calls = []
    kind = type(caches["default"])
    get, get_many = kind.get, kind.get_many
    monkeypatch.setattr(kind, "get", lambda *args, **kw: calls.append("get") or get(*args, **kw))

    def many(self, keys, version=None):
        calls.append("get_many")
        found = {key: get(self, key, version=version) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    monkeypatch.setattr(kind, "get_many", many)
    assert all(answer["user"] for answer in asked(cookies))
    assert calls == ["get_many"]
    assert get_many is not many


def test_sessions_of_one_user_are_answered_each(asked, engine, user):
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        browser.force_login(user)
    cookies = [f"sessionid={browser.cookies['sessionid'].value}" for browser in browsers]
    assert [answer["user"] for answer in asked([*cookies, cookies[0]])] == [str(user.pk)] * 4


def test_500_sessions_are_one_call(asked, engine, user, log_in):
    key = log_in().cookies["sessionid"].value
    cookies = [f"sessionid={key}"] + [f"sessionid={n:032}" for n in range(499)]
    answers = asked(cookies)
    assert [answer["user"] for answer in answers] == [str(user.pk)] + [None] * 499
    assert asked.queries <= 2


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
def test_first_frames_are_left_out_where_nobody_wants_them(asked, cookies, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": lambda user: [{"n": user.username}]}
    assert asked(cookies[:1])[0]["frames"] == [{"n": "user0"}]
    assert asked(cookies[:1], frames=True)[0]["frames"] == [{"n": "user0"}]
    assert asked(cookies[:1], frames=False)[0]["frames"] == []


def test_the_cookie_may_have_another_name(asked, log_in, user, settings, engine):
    settings.SESSION_COOKIE_NAME = "app_session"
    key = log_in().cookies["app_session"].value
    assert asked([f"sessionid=x; app_session={key}"])[0]["user"] == str(user.pk)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"sessions":null}',
        b'{"sessions":"sessionid=x"}',
        b'{"sessions":[1]}',
        b'{"sessions":[null]}',
        b'"\\ud800"',
        json.dumps({"sessions": [""] * 501}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_batch_is_refused(body):
    response = post(body)
    assert response.status_code == 400
    assert response.json()["error"] == "bad_request"


def test_too_large_a_body_is_refused(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    response = post(json.dumps({"sessions": ["x" * 1000]}).encode())
    assert response.status_code == 413
    assert response.json()["error"] == "too_large"


def test_only_post_is_answered():
    headers = signed_headers("GET", BATCH, body=b"")
    assert Client().get(BATCH, headers=headers).status_code == 405


@pytest.mark.parametrize("value", [r'"\000aaaaaaaaaa"', r'"aaaaaaaaaa\012"'])
def test_what_no_database_can_look_for_is_nobody(asked, ask, value, django_assert_num_queries):
    """PostgreSQL fails at a NUL, and would for all that are asked about in one query."""
    assert [one["user"] for one in asked([f"sessionid={value}"])] == [None]
    assert asked.queries == 0
    with django_assert_num_queries(0):
        assert ask(HTTP_COOKIE=f"sessionid={value}").json()["user"] is None


# Who may ask


def refused(response):
    return response.status_code == 403 and response.json()["error"] == "bad_signature"


def test_without_a_signature_nothing_is_said(log_in):
    key = log_in().cookies["sessionid"].value
    body = {"sessions": [f"sessionid={key}"]}
    assert refused(log_in().post(BATCH, body, content_type="application/json"))
    assert refused(Client().post(BATCH, body, content_type="application/json"))


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_tunnel_to_a_developers_machine_is_told_nothing(settings, log_in, method):
    settings.DEBUG = True
    path = {"get": "/_gatepost/outbox/", "post": BATCH}[method]
    assert refused(getattr(log_in(), method)(path))


def test_the_body_is_signed():
    headers = signed_headers("POST", BATCH, body=b'{"sessions":[]}')
    other = b'{"sessions":["sessionid=x"]}'
    assert refused(Client().post(BATCH, other, content_type="application/json", headers=headers))


@pytest.mark.parametrize(("method", "path"), [("GET", AUTH), ("POST", BATCH)])
def test_what_the_gateway_only_passes_on_is_not_its_own_question(method, path, log_in):
    """Its signature is there, but of a body that streams: a browser asked."""
    body = b'{"sessions":[]}' if method == "POST" else b""
    headers = signed_headers(method, path)
    browser = log_in()
    response = browser.generic(method, path, body, "application/json", headers=headers)
    assert refused(response)


def test_an_old_signature_is_refused():
    body = b'{"sessions":[]}'
    headers = signed_headers("POST", BATCH, body=body, at=int(time.time()) - 61)
    assert refused(Client().post(BATCH, body, content_type="application/json", headers=headers))


def test_csrf_is_not_asked_for(settings):
    body = b'{"sessions":[]}'
    browser = Client(enforce_csrf_checks=True)
    headers = signed_headers("POST", BATCH, body=body)
    response = browser.post(BATCH, body, content_type="application/json", headers=headers)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def test_atomic_requests_open_no_transaction(asked, cookies, monkeypatch):
    for alias in ("default", "other"):
        monkeypatch.setitem(connections[alias].settings_dict, "ATOMIC_REQUESTS", True)
    assert asked(cookies)


def test_save_every_request_prolongs_nothing(asked, cookies, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.CSRF_USE_SESSIONS = True
    assert all(answer["user"] for answer in asked(cookies))


if django.VERSION >= (5, 1):

    def test_login_required_middleware_lets_the_gateway_ask(asked, cookies, settings):
        middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, middleware]
        assert all(answer["user"] for answer in asked(cookies))


@pytest.mark.parametrize("resolver", ["request", "test_batch.post"])
def test_a_project_whose_users_are_not_in_sessions_is_asked_one_by_one(settings, resolver):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": resolver}
    response = post(b'{"sessions":[]}')
    assert response.status_code == 501
    assert response.json()["error"] == "not_in_batches"


# Code of the project's own that fails


@pytest.mark.parametrize("engine", ["db"], indirect=True)
def test_a_session_that_the_projects_code_fails_over_takes_no_other_along(
    asked, cookies, settings, caplog
):
    def groups(user):
        if user.username == "user7":
            raise RuntimeError("no such department")
        return [user.username]

    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": groups}
    answers = asked(cookies)
    expected = [[f"user{n}"] for n in range(20)]
    expected[7] = None
    assert [answer and answer["groups"] for answer in answers] == expected
    assert caplog.text.count("cannot say whose a session is") == 1
    assert asked.queries <= 2 * 11


@pytest.mark.parametrize("engine", ["db"], indirect=True)
def test_a_database_that_is_away_is_a_fault_and_no_answer(cookies, settings, monkeypatch):
    calls = []

    def away(user):
        calls.append(1)
        raise OperationalError("server closed the connection")

    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": away}
    body = json.dumps({"sessions": cookies}).encode()
    headers = signed_headers("POST", BATCH, body=body)
    client = Client(raise_request_exception=False)
    response = client.post(BATCH, body, content_type="application/json", headers=headers)
    assert response.status_code == 500
    assert calls == [1]


# Engines of the project's own


@pytest.mark.parametrize("kind", ["of the row", "of the data", "of the model", "of two keys"])
def test_an_engine_of_the_projects_own_is_read_as_it_reads(
    asked, settings, user, monkeypatch, kind
):
    class RowStore(db.SessionStore):
        def _get_session_from_db(self):
            return super()._get_session_from_db()

    class DataStore(db.SessionStore):
        def load(self):
            return {**super().load(), "seen": True}

    class TwoKeyStore(cache.SessionStore):
        def load(self):
            loaded = super().load()
            assert self._cache.get("of-all") == "something"
            return loaded

    caches["default"].set("of-all", "something")
    stores = {
        "of the row": RowStore,
        "of the data": DataStore,
        "of the model": db.SessionStore,
        "of two keys": TwoKeyStore,
    }
    store = stores[kind]
    store.__qualname__ = "SessionStore"  # Part of the salt.
    module = types.ModuleType("own_engine")
    module.SessionStore = store
    monkeypatch.setitem(sys.modules, "own_engine", module)
    settings.SESSION_ENGINE = "own_engine"
    browser = Client()
    browser.force_login(user)
    key = browser.cookies["sessionid"].value
    answers = asked([f"sessionid={key}", f"sessionid={'0' * 32}"])
    assert [answer["user"] for answer in answers] == [str(user.pk), None]
    if kind != "of two keys":
        assert answers[0]["expires_at"] == pytest.approx(time.time() + 14 * 86400, abs=5)
