"""The auth view only reads: django.md 1.3 and 1.5, for the five session engines."""

import math
import os
import time
from datetime import timedelta

import django
import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

pytestmark = pytest.mark.django_db

USERS_QUERY = 1  # with the names of their groups


@pytest.fixture
def asked(ask, storage):
    """Asks with a session and proves that nothing was written and no cookie set."""

    def asked(key, **changes):
        before = storage()
        with CaptureQueriesContext(connections["default"]) as queries:
            response = ask(key, **changes)
        assert response.status_code == 200, response.content
        assert not response.cookies
        assert storage() == before
        assert all(query["sql"].startswith("SELECT") for query in queries), queries.captured_queries
        answer = response.json()
        answer["queries"] = len(queries)
        return answer

    return asked


@pytest.fixture
def key(engine, log_in):
    return log_in().cookies["sessionid"].value


def test_a_login_is_read(asked, key, user):
    assert asked(key)["user"] == str(user.pk)


def test_few_queries_are_made(asked, key, engine):
    sessions = {"db": 1, "cached_db": 1}.get(engine, 0)  # cached_db: the row's true end
    assert asked(key)["queries"] == sessions + USERS_QUERY
    assert asked("0" * 32)["queries"] == sessions


def test_save_every_request_does_not_prolong_it(asked, key, user, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert asked(key)["user"] == str(user.pk)
    assert asked("0" * 32)["user"] is None


def test_save_every_request_would_have_set_a_cookie(key, settings):
    """Shows that the test above can fail."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    browser = Client()
    browser.cookies["sessionid"] = key
    assert browser.get("/").cookies


def test_csrf_in_sessions_writes_nothing_either(asked, log_in, engine, user, settings):
    settings.CSRF_USE_SESSIONS = True
    settings.SESSION_SAVE_EVERY_REQUEST = True
    browser = log_in()
    assert asked(browser.cookies["sessionid"].value)["user"] == str(user.pk)


@pytest.mark.parametrize("in_sessions", [True, False])
def test_a_csrf_token_that_was_made_sets_no_cookie(asked, key, user, settings, in_sessions):
    settings.CSRF_USE_SESSIONS = in_sessions
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "project.middleware.make_csrf_token"]
    assert asked(key)["user"] == str(user.pk)


def test_a_broken_csrf_cookie_is_not_mended_here(asked, key, user):
    cookies = f"sessionid={key}; csrftoken=broken"
    assert asked(None, HTTP_COOKIE=cookies)["user"] == str(user.pk)


def test_a_fallback_key_still_logs_in_and_cycles_nothing(asked, key, user, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    assert asked(key)["user"] == str(user.pk)
    assert asked(key)["user"] == str(user.pk)


def test_a_fallback_key_would_have_cycled_the_session(key, settings):
    """Shows that the test above can fail: request.user does it."""
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    browser = Client()
    browser.cookies["sessionid"] = key
    assert browser.get("/").cookies["sessionid"].value != key


def test_a_key_that_is_gone_logs_nobody_in(asked, key, settings):
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    assert asked(key)["user"] is None


def test_after_a_password_change_nobody_is_logged_in(asked, key, user):
    user.set_password("battery staple")
    user.save()
    assert asked(key)["user"] is None


def test_an_inactive_user_is_nobody(asked, key, user):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert asked(key)["user"] is None


class CarelessBackend:
    """Does not look at is_active."""

    def get_user(self, user_id):
        return get_user_model().objects.get(pk=user_id)


def test_an_inactive_user_is_nobody_whatever_the_backend_says(asked, engine, user, settings):
    settings.AUTHENTICATION_BACKENDS = ["test_read_only.CarelessBackend"]
    browser = Client()
    browser.force_login(user)
    key = browser.cookies["sessionid"].value
    assert asked(key)["user"] == str(user.pk)
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert asked(key)["user"] is None


def test_a_deleted_user_is_nobody(asked, key, user):
    user.delete()
    assert asked(key)["user"] is None


def test_a_backend_that_was_removed_logs_nobody_in(asked, key, settings):
    settings.AUTHENTICATION_BACKENDS = ["test_read_only.CarelessBackend"]
    assert asked(key)["user"] is None


def test_a_session_without_a_login_is_nobody(asked, engine, db):
    browser = Client()
    session = browser.session
    session["cart"] = [1]
    session.save()
    key = browser.cookies["sessionid"].value
    assert asked(key)["user"] is None


def test_a_key_of_another_user_model_is_nobody(asked, engine, log_in):
    browser = log_in()
    session = browser.session
    session["_auth_user_id"] = "neither-a-number-nor-a-uuid"
    session.save()
    cookie = session.session_key if engine == "signed_cookies" else None
    assert asked(cookie or browser.cookies["sessionid"].value)["user"] is None


def test_a_middleware_that_wrote_the_session_does_not_keep_it_alive(asked, key, user, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "project.middleware.write_session"]
    assert asked(key)["user"] == str(user.pk)


def test_a_middleware_may_look_at_the_user_afterwards(asked, ask, key, user, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "project.middleware.touch_user_afterwards"]
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    assert asked(key)["user"] == str(user.pk)
    assert ask(key)["X-User"] == "ann"
    assert ask("0" * 32)["X-User"] == "AnonymousUser"


def test_without_a_session_middleware_it_answers_all_the_same(asked, key, user, settings):
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert asked(key)["user"] == str(user.pk)


def test_atomic_requests_open_no_transaction(asked, key, user, monkeypatch):
    for alias in ("default", "other"):
        monkeypatch.setitem(connections[alias].settings_dict, "ATOMIC_REQUESTS", True)
    assert asked(key)["user"] == str(user.pk)  # asked() lets nothing but SELECT pass


if django.VERSION >= (5, 1):

    def test_login_required_middleware_lets_the_gateway_ask(asked, key, user, settings):
        middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, middleware]
        assert asked("0" * 32)["user"] is None
        assert asked(key)["user"] == str(user.pk)
        assert Client().get("/").status_code == 302


# When a session ends


def test_the_end_is_told_where_it_is_known(asked, log_in, engine, settings):
    key = log_in().cookies["sessionid"].value
    expected = time.time() + settings.SESSION_COOKIE_AGE
    answers = [asked(key)["expires_at"] for _ in range(2)]
    assert answers[0] == answers[1]
    if engine in ("cache", "file"):
        assert answers[0] is None
    else:
        assert answers[0] == pytest.approx(expected, abs=5)
        assert isinstance(answers[0], int)


@pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
def test_an_expiry_of_its_own_is_told_as_it_is(asked, log_in, engine):
    """get_expiry_date() would say "now and as long again" at every call."""
    browser = log_in()
    session = browser.session
    session.set_expiry(300)
    session.save()
    key = browser.cookies["sessionid"].value
    end = timezone.now() + timedelta(seconds=120)
    Session.objects.filter(pk=key).update(expire_date=end)
    assert asked(key)["expires_at"] == math.ceil(end.timestamp())


def test_an_expired_session_is_nobody_and_is_left_as_it_is(asked, key, engine, settings, tmp_path):
    past = timezone.now() - timedelta(seconds=1)
    Session.objects.update(expire_date=past)
    for file in tmp_path.iterdir():
        old = time.time() - settings.SESSION_COOKIE_AGE - 1
        os.utime(file, (old, old))
    if engine in ("cache", "cached_db"):
        caches["default"].clear()
    if engine == "signed_cookies":
        settings.SESSION_COOKIE_AGE = -1
    assert asked(key)["user"] is None


def test_an_empty_cache_is_not_filled(asked, key, engine, user):
    """A fill that crosses a logout would bring the session back."""
    caches["default"].clear()
    expected = None if engine == "cache" else str(user.pk)
    assert asked(key)["user"] == expected


def test_after_logout_the_session_is_nobody(asked, log_in, engine, user, settings):
    settings.GATEPOST = {**settings.GATEPOST, "REVOKE_ON_LOGOUT": False}
    browser = log_in()
    key = browser.cookies["sessionid"].value
    browser.get("/logout/")
    # signed_cookies keep nothing at the server: an old cookie stays good, as everywhere in Django.
    assert asked(key)["user"] == (str(user.pk) if engine == "signed_cookies" else None)
