import json
import time

import pytest
from conftest import AUTH, HEADERS
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

import fakes
from gatepost.answering import answers
from project.people.models import Note

pytestmark = pytest.mark.django_db


def groups_of(user):
    return ["vip", f"dept-{user.username}"]


def frames_of(user):
    return [{"type": "unread_count", "n": 3, "since": user.date_joined}]


def frames_like_the_gateways(user):
    return [{"gatepost": "welcome"}, {"n": 1}]


def wrong_groups(user):
    return "vip"


def test_says_who_a_session_is(ask, log_in, user):
    response = ask(log_in().cookies["sessionid"].value)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    answer = response.json()
    assert answer.pop("expires_at") == pytest.approx(time.time() + 14 * 86400, abs=5)
    assert answer == {"v": 1, "user": str(user.pk), "groups": [], "lease": None, "frames": []}


def test_a_first_frame_that_looks_like_the_gateways_is_left_out(ask, log_in, settings, caplog):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": frames_like_the_gateways}
    assert ask(client=log_in()).json()["frames"] == [{"n": 1}]
    assert "its member 'gatepost' is the gateway's own" in caplog.text


@pytest.mark.parametrize("cookie", [None, "", "short", "0" * 32, "../../etc/passwd", "ü" * 32])
def test_unknown_cookies_are_nobody_and_set_no_cookie(ask, cookie):
    response = ask(cookie)
    assert response.status_code == 200
    assert response.json() == {
        "v": 1, "user": None, "groups": [], "expires_at": None, "lease": None, "frames": [],
    }  # fmt: skip
    assert not response.cookies


def test_the_key_is_nowhere_in_the_answer(ask, log_in):
    cookie = log_in().cookies["sessionid"].value
    response = ask(cookie)
    assert cookie not in response.content.decode() + str(response.headers)


def test_of_two_cookies_django_decides(ask, log_in, user):
    key = log_in().cookies["sessionid"].value
    line = {"HTTP_COOKIE": f"sessionid={'0' * 32}; other=1; sessionid={key}"}
    assert ask(**line).json()["user"] == str(user.pk)
    line = {"HTTP_COOKIE": f"sessionid={key}; sessionid={'0' * 32}"}
    assert ask(**line).json()["user"] is None


def test_the_cookie_may_have_another_name(ask, log_in, user, settings):
    settings.SESSION_COOKIE_NAME = "app_session"
    key = log_in().cookies["app_session"].value
    assert ask(HTTP_COOKIE=f"app_session={key}").json()["user"] == str(user.pk)


def test_groups_are_those_of_the_user_by_default(ask, log_in, user):
    user.is_staff = True
    user.save()
    user.groups.add(Group.objects.create(name="zoo"), Group.objects.create(name="art"))
    answer = ask(log_in().cookies["sessionid"].value).json()
    assert answer["groups"] == ["art", "zoo"]


@pytest.mark.parametrize("groups", [["vip"], None, Note.objects])
def test_something_else_called_groups_is_left_alone(ask, log_in, user, monkeypatch, groups):
    key = log_in().cookies["sessionid"].value
    monkeypatch.setattr(type(user), "groups", groups)
    assert ask(key).json()["groups"] == []


@pytest.mark.parametrize("named", ["test_auth_view.groups_of", groups_of])
def test_groups_may_be_the_projects_own(ask, log_in, settings, named):
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": named}
    answer = ask(log_in().cookies["sessionid"].value).json()
    assert answer["groups"] == ["vip", "dept-ann"]


def test_groups_that_are_no_list_are_a_fault_and_not_nobody(ask, log_in, settings):
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": wrong_groups}
    key = log_in().cookies["sessionid"].value
    response = ask(key, client=Client(raise_request_exception=False))
    assert response.status_code == 500


def test_initial_frames_are_sent_along(ask, log_in, user, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": "test_auth_view.frames_of"}
    response = ask(log_in().cookies["sessionid"].value)
    (frame,) = response.json()["frames"]
    assert frame["n"] == 3
    assert b'{"type":"unread_count","n":3,' in response.content
    assert frame["since"].startswith(str(user.date_joined.year))
    assert ask().json()["frames"] == []


def test_the_answer_is_not_stored_anywhere(ask, log_in, user, settings):
    """Django's own site cache takes no-store for storable, and forgets whom it is for."""
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    first = ask(log_in().cookies["sessionid"].value)
    assert first.json()["user"] == str(user.pk)
    assert "no-store" in first["Cache-Control"]
    assert ask("0" * 32).json()["user"] is None


@pytest.mark.parametrize("method", ["post", "put", "delete", "head"])
def test_only_get_is_answered(method):
    assert getattr(Client(), method)(AUTH).status_code == 405


# Who may ask


def refused(response):
    assert response.status_code == 403
    body = json.loads(response.content)
    assert body["error"] == "bad_signature"
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies
    return body["detail"]


def test_without_a_signature_nothing_is_said(log_in):
    detail = refused(log_in().get(AUTH))
    assert "Gatepost-Signature is missing" in detail
    assert "GATEPOST_SECRET" in detail


def test_with_debug_this_machine_needs_no_signature(log_in, user, settings):
    settings.DEBUG = True
    assert log_in().get(AUTH).json()["user"] == str(user.pk)
    assert log_in().get(AUTH, REMOTE_ADDR="::1").json()["user"] == str(user.pk)


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "", "unknown"])
def test_with_debug_other_machines_still_need_one(log_in, settings, address):
    settings.DEBUG = True
    refused(log_in().get(AUTH, REMOTE_ADDR=address))


def test_with_debug_a_wrong_signature_is_refused_all_the_same(log_in, ask, settings):
    settings.DEBUG = True
    refused(ask(client=log_in(), HTTP_GATEPOST_SIGNATURE="t=1,v1=00"))


def test_another_secret_is_refused(ask):
    header = fakes.sign("GET", AUTH, secret="another-secret-of-at-least-32-bytes!", **HEADERS)
    assert "another secret" in refused(ask(HTTP_GATEPOST_SIGNATURE=header))


def test_clocks_that_differ_are_named(ask):
    header = fakes.sign("GET", AUTH, at=int(time.time()) - 300, **HEADERS)
    assert "300 s behind" in refused(ask(HTTP_GATEPOST_SIGNATURE=header)).replace("301", "300")


def test_a_signature_holds_for_its_host_only(ask, settings):
    settings.ALLOWED_HOSTS = ["*"]
    refused(ask(HTTP_HOST="evil.example"))


def test_a_signature_holds_for_its_query_only(ask):
    refused(ask(QUERY_STRING="x=1"))
    header = fakes.sign("GET", AUTH + "?next=%2F", **HEADERS)
    response = ask(QUERY_STRING="next=%2F", HTTP_GATEPOST_SIGNATURE=header)
    assert response.status_code == 200


def test_while_secrets_are_rotated_both_are_believed(ask, settings):
    settings.GATEPOST = {"SECRET": "n" * 32, "SECRET_PREVIOUS": fakes.SECRET}
    assert ask().status_code == 200
    header = fakes.sign("GET", AUTH, secret="n" * 32, **HEADERS)
    assert ask(HTTP_GATEPOST_SIGNATURE=header).status_code == 200


def test_without_a_secret_the_hint_says_where_it_goes(ask, settings, monkeypatch):
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    settings.GATEPOST = {}
    assert "Set GATEPOST['SECRET']" in refused(ask())


def test_another_signed_body_is_refused(ask):
    header = fakes.sign("GET", AUTH, body=b"x", **HEADERS)
    refused(ask(HTTP_GATEPOST_SIGNATURE=header))


def test_two_logins_are_two_answers(ask, log_in, user):
    bob = get_user_model().objects.create_user("bob")
    keys = [log_in().cookies["sessionid"].value, log_in(bob).cookies["sessionid"].value]
    assert [ask(key).json()["user"] for key in keys] == [str(user.pk), str(bob.pk)]


@pytest.fixture
def refusals(caplog):
    """What the log says of answers that the gateway will refuse."""
    answers._log_throttle.clear()
    return lambda: [r.getMessage() for r in caplog.records if "will refuse" in r.getMessage()]


@pytest.mark.parametrize(
    ("setting", "made", "said"),
    [
        ("GROUPS", [f"customers-of-the-shop-{n:08}" for n in range(2500)], "has 2500 groups with"),
        ("INITIAL_FRAMES", ["x" * 70_000], "let INITIAL_FRAMES say less"),
        ("GROUPS", ["x" * 256], "one above 255 bytes"),
        ("GROUPS", ["ü" * 127], None),
        ("GROUPS", [""], "no name"),
    ],
)
def test_an_answer_that_is_refused_is_explained_where_its_user_is_known(
    ask, log_in, user, settings, refusals, setting, made, said
):
    settings.GATEPOST = {**settings.GATEPOST, setting: lambda user: made}
    cookie = log_in().cookies["sessionid"].value
    for _ in range(3):
        ask(cookie)
    if said is None:
        assert refusals() == []
    else:
        (line,) = refusals()
        assert said in line
        assert str(user.pk) in line


def test_an_id_that_is_too_long_is_named(refusals):
    answers._log_what_is_refused("x" * 256, [], [])
    (line,) = refusals()
    assert "more than 255 bytes" in line
