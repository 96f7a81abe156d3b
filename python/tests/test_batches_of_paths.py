"""The batch view: pairs of a session and a path, and topics that are asked about again."""

import json
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.shortcuts import get_object_or_404
from django.test import AsyncClient, Client
from django.urls import get_urlconf, include, path, re_path
from django.utils import translation
from through import run, signed_headers

import gatepost
from gatepost import Topic
from gatepost.answering import batches, following
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = "/_gatepost/sessions/"

#: The key of a note that nobody may see.
FORBIDDEN = 1_000_013


def post(body, client=None, **changes):
    body = json.dumps(body).encode()
    headers = {**signed_headers("POST", BATCH, body=body), **changes}
    client = client or Client(raise_request_exception=False)
    if isinstance(client, AsyncClient):
        headers = signed_headers("POST", BATCH, body=body, host="testserver")
        del headers["Host"]
        return run(client.post, BATCH, body, content_type="application/json", headers=headers)
    return client.post(BATCH, body, content_type="application/json", headers=headers)


@pytest.fixture
def asked(storage):
    """Asks, and proves that nothing was written and no cookie set."""

    def asked(*sessions, client=None, **more):
        before = storage()
        response = post({"sessions": list(sessions), **more}, client)
        assert response.status_code == 200, response.content
        assert not response.cookies
        assert storage() == before
        return response.json()

    return asked


def cookie(browser):
    return f"sessionid={browser.cookies['sessionid'].value}"


def pair(browser, at):
    return {"cookie": cookie(browser) if browser else "", "path": at}


@gatepost.socket
def own_note(request, pk):
    if request.GET.get("fail"):
        raise RuntimeError(request.GET["fail"])
    if pk == FORBIDDEN:
        raise PermissionDenied
    note = get_object_or_404(Note, pk=pk)
    seen = {"n": note.pk, "path": request.get_full_path(), "url": request.build_absolute_uri("/")}
    return gatepost.listen(Topic(note), frames=[seen])


@pytest.fixture(autouse=True)
def _urls(settings):
    class Urls:
        urlpatterns = [
            path("_gatepost/", include("gatepost.urls")),
            path("ws/<int:pk>/", own_note),
            re_path("^ws/näh/(?P<pk>.*)/$", own_note),
            path("members/<int:pk>/", login_required(own_note)),
            path("page/", lambda request: None),
        ]

    settings.ROOT_URLCONF = Urls


@pytest.fixture
def note():
    return Note.objects.create()


# Paths


@pytest.mark.parametrize("clients", [Client, AsyncClient])
def test_each_pair_gets_what_it_would_get_alone(asked, log_in, note, user, clients, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    browser, at = log_in(), f"/ws/{note.pk}/?x=1"
    said = asked(
        pair(browser, at),
        cookie(browser),
        pair(None, at),
        pair(browser, f"/ws/{FORBIDDEN}/"),
        pair(browser, "/ws/0/"),
        pair(None, f"/members/{note.pk}/"),
        pair(browser, f"/members/{note.pk}/"),
        client=clients(),
    )["sessions"]
    assert said[0]["user"] == said[1]["user"] == said[6]["user"] == str(user.pk)
    assert said[0]["topics"] == [f"people.note:{note.pk}"]
    host = "testserver" if clients is AsyncClient else "localhost:8443"
    seen = {"n": note.pk, "path": at, "url": f"https://{host}/"}
    assert said[0]["frames"] == [seen]
    assert said[0]["expires_at"] == said[1]["expires_at"] > time.time()
    assert "topics" not in said[1]
    assert said[2:6] == [{"status": 401}, {"status": 403}, {"status": 404}, {"status": 401}]


def test_without_frames_there_are_none(asked, log_in, note, settings):
    settings.GATEPOST = {**settings.GATEPOST, "INITIAL_FRAMES": lambda user: 1 / 0}
    said = asked(pair(log_in(), f"/ws/{note.pk}/"), frames=False)["sessions"]
    assert said[0]["frames"] == []


def test_what_fails_is_asked_about_alone_and_the_others_get_their_answers(asked, log_in, note):
    browser = log_in()
    said = asked(
        pair(browser, "/ws/1/?fail=x"), pair(browser, f"/ws/{note.pk}/"), pair(browser, "/page/")
    )["sessions"]
    assert [one and one["topics"] for one in said] == [None, [f"people.note:{note.pk}"], None]


def test_the_project_s_middlewares_see_each_pair(asked, log_in, note, settings):
    seen.clear()
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "test_batches_of_paths.see"]
    asked(pair(log_in(), f"/ws/{note.pk}/"), pair(None, "/ws/n%C3%A4h/7/"))
    assert seen == [
        (f"/ws/{note.pk}/", "ann", "192.0.2.7", True, True),
        ("/ws/näh/7/", "", "192.0.2.7", True, True),
        (BATCH, "", "192.0.2.7", True, True),
    ]


seen = []


def see(get_response):
    def middleware(request):
        response = get_response(request)
        seen.append(
            (
                request.path,
                request.user.get_username(),
                request.META["REMOTE_ADDR"],
                request.is_secure(),
                request.gatepost.trusted,
            )
        )
        return response

    return middleware


def test_the_thread_is_as_it_was(asked, log_in, note, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "test_batches_of_paths.change_the_thread"]
    translation.activate("fr")
    asked(pair(log_in(), f"/ws/{note.pk}/"))
    assert translation.get_language() == "fr"
    assert get_urlconf() != "project.urls"
    translation.activate("en-us")


def change_the_thread(get_response):
    def middleware(request):
        if request.path.startswith("/ws/"):
            translation.activate("de")
            request.urlconf = settings_urls()
        return get_response(request)

    return middleware


def settings_urls():
    from django.conf import settings

    return settings.ROOT_URLCONF


def test_what_half_the_time_does_not_reach_is_asked_later(asked, log_in, note, monkeypatch):
    late = iter([False, False, True, True, True])
    monkeypatch.setattr(batches._Question, "is_late", lambda question: next(late))
    browser = log_in()
    said = asked(
        cookie(browser),
        *[pair(browser, f"/ws/{note.pk}/")] * 4,
        topics=[{"topic": "a.b:1", "users": []}],
    )
    assert [one == {"later": True} for one in said["sessions"]] == [False, False, False, True, True]
    assert said["topics"] == [{"later": True}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cookie": "a=b"},
        {"path": "/x/"},
        {"cookie": "a=b", "path": 1},
        {"cookie": "a=b", "path": "x"},
        {"cookie": "a=b", "path": "/x y/"},
        {"cookie": "a=b", "path": "/x\r\nCookie: y/"},
        {"cookie": "a=b", "path": "/é/"},
        {"cookie": 1, "path": "/x/"},
        1,
        None,
    ],
)
def test_what_is_no_pair_is_refused(wrong):
    assert post({"sessions": [wrong]}).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": 1},
        {"topics": [{"topic": "x"}]},
        {"topics": [{"topic": 1, "users": []}]},
        {"topics": [{"topic": "x", "users": [1]}]},
        {"topics": [{"topic": "x", "users": []}] * 501},
        {"timeout": "soon"},
        {"timeout": [1]},
    ],
)
def test_what_is_no_question_is_refused(wrong):
    assert post({"sessions": [], **wrong}).status_code == 400


def test_a_resolver_that_needs_a_request_has_one(asked, log_in, note, settings, user):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": lambda request: user}
    assert asked(pair(None, f"/ws/{note.pk}/"))["sessions"][0]["user"] == str(user.pk)
    assert post({"sessions": ["sessionid=x"]}).status_code == 501
    assert asked(topics=[{"topic": "a.b:1", "users": []}])["topics"] == [{"listed": False}]


def test_half_the_gateway_s_patience_counts(asked, log_in, note):
    browser = log_in()
    at = pair(browser, f"/ws/{note.pk}/")
    assert asked(at, timeout=0)["sessions"] == [{"later": True}]
    assert asked(at, timeout=600)["sessions"][0]["topics"]


def test_hundreds_of_pairs_are_answered_at_once(asked, log_in, note):
    browser = log_in()
    said = asked(*[pair(browser, f"/ws/{note.pk}/")] * 500, timeout=600)["sessions"]
    assert len(said) == 500
    assert said[0] == said[499]


# Topics


def may_follow(users, pk):
    called.append((users, pk, threading.current_thread()))
    return {users[0], "stranger"}


called = []


def test_who_may_still_listen_is_asked(asked, settings):
    called.clear()
    settings.GATEPOST = {
        **settings.GATEPOST,
        "TOPICS": {
            "people.note:<pk>": "test_batches_of_paths.may_follow",
            "people.person:<pk>": lambda users, pk: [],
            "people.team:<pk>": None,
        },
    }
    names = ["people.note:a%2Fb", "people.person:1", "people.team:1", "other.thing:1", "news"]
    said = asked(topics=[{"topic": name, "users": ["1", "2"]} for name in names])
    assert said["sessions"] == []
    assert said["topics"] == [{"users": ["1"]}, {"users": []}, *[{"listed": False}] * 3]
    assert [one[:2] for one in called] == [(["1", "2"], "a/b")]


def test_keys_of_the_project_s_own_kind_are_ids_too(settings):
    def may(users, pk):
        return get_user_model().objects.values_list("pk", flat=True)

    settings.GATEPOST = {**settings.GATEPOST, "TOPICS": {"people.note:<pk>": may}}
    user = get_user_model().objects.create_user("bob")
    assert following.who_may("people.note:1", [str(user.pk), "0"]) == [str(user.pk)]


@pytest.mark.parametrize(
    "wrong", ["no.such.function", 1, lambda users, pk: None, lambda users, pk: "1"]
)
def test_code_that_fails_is_no_judgement(asked, settings, wrong, caplog):
    settings.GATEPOST = {**settings.GATEPOST, "TOPICS": {"people.note:<pk>": wrong}}
    said = asked(topics=[{"topic": "people.note:1", "users": ["1"]}])
    assert said["topics"] == [None]
    assert "cannot say who may still listen to people.note:1" in caplog.text


def test_a_question_without_topics_has_no_answer_about_them(asked):
    assert asked() == {"sessions": []}


def test_a_database_that_is_away_is_no_answer(settings, monkeypatch):
    def away(keys):
        raise OperationalError

    monkeypatch.setattr(batches, "find_logins", away)
    assert post({"sessions": ["sessionid=x"]}).status_code == 500
