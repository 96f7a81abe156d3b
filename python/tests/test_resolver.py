"""USER_RESOLVER and TOUCH_SESSION_ON_CONNECT: who a handshake is, and what it may change."""

import time

import pytest
from conftest import AUTH
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.django_db


def by_header(request):
    """As single sign-on proxies have it."""
    return get_user_model().objects.filter(username=request.headers.get("X-Person")).first()


def nobody(request):
    return AnonymousUser()


def somebody_else(get_response):
    """A middleware of the project's own that says who the user is."""

    def middleware(request):
        request.user = get_user_model().objects.get(username="bob")
        return get_response(request)

    return middleware


@pytest.fixture
def resolver(settings):
    def resolver(name, **more):
        settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": name, **more}

    return resolver


@pytest.mark.parametrize("named", ["test_resolver.by_header", by_header])
def test_a_function_of_the_projects_own(ask, storage, resolver, user, named):
    resolver(named)
    before = storage()
    answer = ask(HTTP_X_PERSON="ann").json()
    assert (answer["user"], answer["expires_at"]) == (str(user.pk), None)
    assert ask(HTTP_X_PERSON="eve").json()["user"] is None
    assert storage() == before


def test_a_function_that_finds_an_inactive_user_or_nobody(ask, resolver, user):
    resolver(nobody)
    assert ask(HTTP_X_PERSON="ann").json()["user"] is None
    resolver(by_header)
    get_user_model().objects.update(is_active=False)
    assert ask(HTTP_X_PERSON="ann").json()["user"] is None


def test_the_requests_user_may_be_set_by_a_middleware(ask, resolver, settings, log_in):
    resolver("request")
    bob = get_user_model().objects.create_user("bob")
    key = log_in().cookies["sessionid"].value
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "test_resolver.somebody_else"]
    answer = ask(key).json()
    assert (answer["user"], answer["expires_at"]) == (str(bob.pk), None)  # Not of this session.


def test_the_requests_user_is_that_of_the_session(engine, ask, resolver, log_in, user, storage):
    resolver("request")
    key = log_in().cookies["sessionid"].value
    before = storage()
    response = ask(key)
    assert response.json()["user"] == str(user.pk)
    expires = response.json()["expires_at"]
    if engine in ("cache", "file"):
        assert expires is None
    else:
        assert expires == pytest.approx(time.time() + 14 * 86400, abs=5)
    assert not response.cookies
    assert storage() == before
    assert ask("0" * 32).json()["user"] is None


def test_save_every_request_prolongs_nothing_by_the_request_either(ask, resolver, log_in, settings):
    resolver("request")
    key = log_in().cookies["sessionid"].value
    settings.SESSION_SAVE_EVERY_REQUEST = True
    before = list(Session.objects.values_list())
    assert not ask(key).cookies
    assert list(Session.objects.values_list()) == before


def test_a_key_that_the_request_cycled_reaches_the_browser(ask, resolver, log_in, user, settings):
    """Django does it with a rotated SECRET_KEY; without the cookie the user would be logged out."""
    resolver("request")
    key = log_in().cookies["sessionid"].value
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    response = ask(key)
    new = response.cookies["sessionid"].value
    assert new != key
    assert response.json()["user"] == str(user.pk)
    assert ask(new).json()["user"] == str(user.pk)
    assert not ask(new).cookies


def test_a_session_that_is_over_sets_no_cookie(ask, resolver, log_in, user):
    resolver("request")
    key = log_in().cookies["sessionid"].value
    user.set_password("another one")
    user.save()
    response = ask(key)
    assert response.json()["user"] is None
    assert not response.cookies


def test_without_the_middlewares_the_requests_user_is_nobody(ask, resolver, settings, user):
    resolver("request")
    settings.MIDDLEWARE = []
    assert ask("0" * 32).json()["user"] is None


# A handshake that counts as activity


def test_a_handshake_prolongs_the_session_where_that_is_wanted(ask, resolver, log_in, engine, user):
    resolver("session", TOUCH_SESSION_ON_CONNECT=True)
    key = log_in().cookies["sessionid"].value
    soon = timezone.now() + timezone.timedelta(seconds=60)
    Session.objects.update(expire_date=soon)
    response = ask(key)
    assert response.json()["user"] == str(user.pk)
    new = response.cookies["sessionid"]
    assert new["max-age"] == 14 * 86400
    if engine != "signed_cookies":
        assert new.value == key
    assert ask(new.value).json()["user"] == str(user.pk)
    assert not Session.objects.filter(expire_date__lte=soon).exists()


@pytest.mark.parametrize("key", [None, "0" * 32])
def test_nobodys_handshake_prolongs_nothing(ask, resolver, key):
    resolver("session", TOUCH_SESSION_ON_CONNECT=True)
    assert not ask(key).cookies
    assert not Session.objects.exists()


def test_a_session_that_ends_in_this_moment_is_not_brought_back(ask, resolver, log_in, monkeypatch):
    from django.contrib.sessions.backends.db import SessionStore

    def save(self, *args, **kwargs):
        Session.objects.all().delete()
        raise UpdateError

    resolver("session", TOUCH_SESSION_ON_CONNECT=True)
    key = log_in().cookies["sessionid"].value
    monkeypatch.setattr(SessionStore, "save", save)
    response = ask(key)
    assert response.json()["user"] is None
    assert not response.cookies
    assert not Session.objects.exists()


def test_a_refused_caller_prolongs_nothing(resolver, log_in):
    resolver("session", TOUCH_SESSION_ON_CONNECT=True)
    browser = log_in()
    before = list(Session.objects.values_list())
    assert browser.get(AUTH).status_code == 403
    assert Client().get(AUTH).status_code == 403
    assert list(Session.objects.values_list()) == before
