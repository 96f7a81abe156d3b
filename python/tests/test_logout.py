"""A session that ends closes its sockets, by a logout or by another user's login."""

import pytest
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import connections, transaction
from django.test import Client, RequestFactory

from gatepost.signing.digest import session_digest

pytestmark = pytest.mark.django_db(transaction=True)


def digest(settings, key):
    return session_digest(settings.GATEPOST["SECRET"].encode(), key)


@pytest.fixture(params=["db", "cached_db", "cache", "signed_cookies"])
def engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    return request.param


def test_the_sessions_sockets_are_closed(gateway, log_in, engine, settings):
    browser = log_in()
    key = browser.cookies["sessionid"].value
    browser.get("/logout/")
    expected = {"session": digest(settings, key), "code": 4001, "reason": "logged out"}
    assert gateway.revocations == [expected]
    assert gateway.calls[0].signature_holds
    assert key.encode() not in gateway.calls[0].body


def test_it_does_not_wait_for_the_commit(gateway, log_in, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    seen = []

    def look(**kwargs):
        seen.append((transaction.get_connection().in_atomic_block, len(gateway.revocations)))

    user_logged_out.connect(look)
    try:
        log_in().get("/logout/")
    finally:
        user_logged_out.disconnect(look)
    assert seen == [(True, 1)]
    assert len(gateway.revocations) == 1


def test_a_logout_of_nobody_says_nothing(gateway):
    browser = Client()
    browser.get("/logout/")
    session = browser.session
    session["cart"] = [1]
    session.save()
    browser.get("/logout/")
    assert gateway.calls == []


def test_logging_in_says_nothing(gateway, log_in):
    log_in()
    assert gateway.calls == []


def test_a_key_that_was_cycled_in_the_same_request_is_closed_too(gateway, log_in, settings):
    """The sockets are bound to the key that the browser sent."""
    browser = log_in()
    key = browser.cookies["sessionid"].value
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-next-key-0123456789-0123456789-0123456789"
    browser.get("/logout/")
    assert digest(settings, key) in [said["session"] for said in gateway.revocations]
    assert len(gateway.revocations) == 2
    assert not Session.objects.exists()


def test_a_request_without_a_session_is_survived(gateway, user):
    request = RequestFactory().get("/")
    user_logged_out.send(sender=type(user), request=request, user=user)
    user_logged_out.send(sender=type(user), request=None, user=user)
    user_logged_out.send(sender=type(user), user=user)
    assert gateway.calls == []


def test_it_can_be_switched_off(gateway, log_in, settings):
    settings.GATEPOST = {**settings.GATEPOST, "REVOKE_ON_LOGOUT": False}
    log_in().get("/logout/")
    assert gateway.calls == []


def test_logout_works_without_a_secret(log_in, settings, monkeypatch):
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    settings.GATEPOST = {}
    assert log_in().get("/logout/").content == b"bye"


def test_logout_by_hand_in_a_transaction_that_fails_is_still_a_logout(gateway, log_in, settings):
    browser = log_in()
    request = browser.get("/").wsgi_request

    def leave_and_fail():
        with transaction.atomic():
            logout(request)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        leave_and_fail()
    assert len(gateway.revocations) == 1


BACKEND = "django.contrib.auth.backends.ModelBackend"


def log_in_over(browser, user):
    """Logs a user in over whatever session the browser has, as a login form does."""
    request = browser.get("/").wsgi_request
    login(request, user, backend=BACKEND)


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_another_users_login_has_the_sockets_of_the_one_before_come_back(
    gateway, log_in, settings, engine
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    browser = log_in()
    key = browser.cookies["sessionid"].value
    log_in_over(browser, get_user_model().objects.create_user("another"))
    named = {"session": digest(settings, key)}
    assert gateway.revocations == [{**named, "code": 1013, "reason": "another user logged in"}]


def test_the_same_users_login_closes_nothing(gateway, log_in, user):
    log_in_over(log_in(), user)
    assert gateway.calls == []


def test_a_login_over_a_cookie_session_closes_nothing(gateway, log_in, user, settings):
    """Its key changes with every write, so a new one does not mean a new session."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    log_in_over(log_in(), user)
    assert gateway.calls == []
