"""stream(): what a view hands over to the gateway, and how that is signed."""

import hashlib
import json
import time
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate, login
from django.core.cache import caches
from django.http import HttpResponse
from django.test import Client
from django.utils.safestring import mark_safe
from django.views.decorators.cache import cache_page
from django.views.decorators.gzip import gzip_page
from through import AsyncThrough, Through, run
from topic_vectors import SECRET, mac

import gatepost
from gatepost import Text, Topic, notify
from gatepost.signing.digest import session_digest
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/view/"


@pytest.fixture
def handed_over(at, log_in):
    """Has a view hand its response over, through the gateway; returns what the gateway gets."""

    def handed_over(*topics, browser=None, decorate=lambda view: view, **options):
        request = {**options.pop("request", {})}
        at(view=decorate(lambda request: gatepost.stream(*topics, **options)))
        made = Through()
        if browser is not None:
            made.cookies["sessionid"] = browser.cookies["sessionid"].value
        return checked(made, **request)

    return handed_over


def checked(browser, method="GET", target=PATH, **options):
    headers = {"X-Request-ID": "5b2f-2a", **options.pop("headers", {})}
    response = browser.generic(method, target, headers=headers, **options)
    assert response.status_code == 200, response.content
    digest = hashlib.sha256(response.content).hexdigest()
    signed = mac(SECRET, "gatepost-stream", method, target, "5b2f-2a", digest)
    assert response["Gatepost-Stream"] == f"v1,{signed}"
    assert response["Content-Encoding"] == "identity"
    assert "no-store" in response["Cache-Control"]
    assert int(response["Content-Length"]) == len(response.content)
    return response


def test_a_view_hands_its_response_over(handed_over, log_in, user):
    note = Note.objects.create()
    user.groups.create(name="staff")
    browser = log_in()
    first = [Text(mark_safe("<p>Grüße</p>"), event="progress"), {"n": 1}, Text("x")]
    said = handed_over(Topic(note), "news", browser=browser, first=first).json()
    assert said.pop("expires_at") > time.time()
    assert said == {
        "v": 1,
        "user": str(user.pk),
        "groups": ["staff"],
        "lease": None,
        "frames": [],
        "session": session_digest(SECRET.encode(), browser.cookies["sessionid"].value),
        "topics": [f"people.note:{note.pk}", "news"],
        "topics_expire": None,
        "form": "sse",
        "first": [
            {"text": "<p>Grüße</p>", "event": "progress"},
            {"frame": {"n": 1}},
            {"text": "x"},
        ],
    }


def test_a_visitor_s_stream_is_nobody_s(handed_over):
    said = handed_over("news", expires=timedelta(minutes=1)).json()
    assert (said["user"], said["session"], said["expires_at"]) == (None, None, None)
    assert 55 < said["topics_expire"] - time.time() < 65


def test_a_login_in_the_very_request_counts(at, user):
    def view(request):
        login(request, authenticate(username="ann", password="correct horse"))
        return gatepost.stream("news")

    at(view=view)
    response = checked(Through(), "POST", data=b"x", content_type="text/plain")
    key = response.cookies["sessionid"].value
    assert response.json()["user"] == str(user.pk)
    assert response.json()["session"] == session_digest(SECRET.encode(), key)


@pytest.mark.parametrize(
    ("accept", "form", "expected"),
    [
        ("text/event-stream", None, "sse"),
        ("application/x-ndjson", None, "ndjson"),
        ("*/*", None, "sse"),
        ("text/html, application/x-ndjson;q=0.9", None, "ndjson"),
        ("text/event-stream, application/x-ndjson", None, "sse"),
        ("text/event-stream", "ndjson", "ndjson"),
        ("application/x-ndjson", "sse", "sse"),
    ],
)
def test_its_form_is_the_view_s_or_what_the_client_accepts(handed_over, accept, form, expected):
    request = {"headers": {"Accept": accept}}
    assert handed_over("news", form=form, request=request).json()["form"] == expected


def test_the_signature_is_of_the_target_as_it_was_sent(at):
    at(view=lambda request: gatepost.stream("news"))
    checked(Through(), target="/view/?q=%C3%A4&x=1%2B1")
    checked(Through(), "POST", "/view/?q=1", data=b"x", content_type="text/plain")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_only_get_and_post_may_be_handed_over(at, method):
    at(view=lambda request: gatepost.stream("news"))
    response = Through().generic(method, PATH)
    assert response.status_code == 405
    assert "Gatepost-Stream" not in response


def test_an_asynchronous_view_may_too(at, log_in, user):
    async def view(request):
        return gatepost.stream("news")

    at(view=view)
    browser = AsyncThrough()
    browser.cookies["sessionid"] = log_in().cookies["sessionid"].value
    response = run(browser.get, PATH, headers={"X-Request-ID": "5b2f-2a"})
    assert response.json()["user"] == str(user.pk)
    assert response["Gatepost-Stream"].startswith("v1,")


# Nobody else


@pytest.mark.parametrize("headers", [{}, {"Gatepost-Signature": "t=1,v1=" + "0" * 64}])
def test_without_the_gateway_it_says_what_is_missing(at, headers):
    at(view=lambda request: gatepost.stream("news", first=[{"secret": 1}]))
    response = Client().get(PATH, headers=headers)
    assert response.status_code == 501
    assert b"which Gatepost goes on with" in response.content
    assert b"secret" not in response.content
    assert "Gatepost-Stream" not in response


def test_without_the_middleware_it_says_so_too(at, settings):
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    at(view=lambda request: gatepost.stream("news"))
    assert Through().get(PATH).status_code == 501


def test_the_field_is_on_no_other_answer(at):
    def view(request):
        return HttpResponse(headers={"Gatepost-Stream": "v1,forged"})

    at(view=view)
    assert "Gatepost-Stream" not in Through().get(PATH)
    assert "Gatepost-Stream" not in Client().get(PATH)


@pytest.mark.parametrize("way", ["per view", "per site"])
def test_no_cache_of_django_keeps_it(handed_over, settings, log_in, way):
    caches["default"].clear()
    if way == "per site":
        ours, *others = settings.MIDDLEWARE
        update = "django.middleware.cache.UpdateCacheMiddleware"
        fetch = "django.middleware.cache.FetchFromCacheMiddleware"
        settings.MIDDLEWARE = [ours, update, *others, fetch]
    decorate = cache_page(600) if way == "per view" else lambda view: view
    handed_over("news", decorate=decorate)
    assert handed_over("other", decorate=decorate).json()["topics"] == ["other"]


def test_other_middlewares_leave_it_alone(handed_over, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
    ]
    first = [{"n": "x" * 1000}]
    request = {"headers": {"Accept-Encoding": "gzip", "If-None-Match": "*"}}
    response = handed_over("news", first=first, request=request, decorate=gzip_page)
    assert response.json()["first"] == [{"frame": {"n": "x" * 1000}}]


def test_the_session_is_saved_as_on_every_page(at, log_in):
    def view(request):
        request.session["seen"] = True
        return gatepost.stream("news")

    at(view=view, page=lambda request: HttpResponse(str(request.session.get("seen"))))
    browser = Through()
    browser.cookies["sessionid"] = log_in().cookies["sessionid"].value
    checked(browser)
    assert browser.get("/page/").content == b"True"


def test_what_the_view_publishes_rides_on_it(at):
    def view(request):
        notify(Topic("news"), {"n": 1})
        return gatepost.stream("news")

    at(view=view)
    assert "Gatepost-Publish" in checked(Through())


# Mistakes


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"form": "xml"}, ValueError, "form is one of 'sse', 'ndjson'"),
        ({"first": "x"}, TypeError, "first takes a list"),
        ({"first": {"n": 1}}, TypeError, "first takes a list"),
        ({"first": [{"gatepost": 1}]}, ValueError, "no member 'gatepost'"),
        ({"first": [object()]}, TypeError, "not JSON serializable"),
        ({"first": ["x" * 200_000] * 5}, ValueError, "begins with has 10000"),
        ({"expires": "soon"}, TypeError, "expires takes"),
    ],
)
def test_a_mistake_raises_at_the_view_s_line(options, error, sentence):
    with pytest.raises(error, match=sentence):
        gatepost.stream("news", **options)


def test_a_text_is_checked_where_it_is_made():
    with pytest.raises(TypeError, match="text is a str"):
        Text(b"x")
    with pytest.raises(ValueError, match="end=True ends a stream"):
        Text("x", event="close")
    assert repr(Text("x")) == "Text('x', event=None)"


def test_a_text_can_be_published_too(gateway):
    notify(Topic("news"), Text("<p>", event="progress"))
    said = gateway.publications[0]
    assert (said["text"], said["event"], "frame" in said) == ("<p>", "progress", False)
    with pytest.raises(TypeError, match="not both"):
        notify(Topic("news"), Text("<p>"), text="<p>")


def test_a_text_is_no_frame():
    with pytest.raises(TypeError, match="stream"):
        gatepost.listen("news", frames=[Text("x")])


def test_what_it_would_say_can_be_tested_without_a_gateway():
    stream = gatepost.stream("news", first=[{"n": 1}])
    assert (stream.status_code, stream.topics) == (501, ["news"])
    assert json.dumps(stream.first) == '[{"frame": {"n": 1}}]'
