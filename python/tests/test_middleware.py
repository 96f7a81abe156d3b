"""The middleware believes the gateway, and nobody else."""

import json
import time
from io import BytesIO
from urllib.parse import unquote

import pytest
from django.contrib.sessions.models import Session
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, JsonResponse
from django.template.context_processors import debug
from django.test import AsyncClient, Client, RequestFactory
from through import ADDRESS, AsyncThrough, Through, run, signed_headers

import fakes
from gatepost import middleware

pytestmark = pytest.mark.django_db


def look(request):
    """Says what a view sees of a request."""
    sender = request.gatepost
    return JsonResponse(
        {
            "secure": request.is_secure(),
            "url": request.build_absolute_uri(),
            "address": request.META["REMOTE_ADDR"],
            "trusted": sender.trusted,
            "connection": sender.connection,
            "online": sender.online,
            "claims": sorted(
                name
                for name in ("HTTP_GATEPOST_CONNECTION", "HTTP_GATEPOST_ONLINE")
                if name in request.META
            ),
        }
    )


async def look_async(request):
    return look(request)


UNKNOWN = {
    "secure": False,
    "url": "http://testserver/look/",
    "address": "127.0.0.1",
    "trusted": False,
    "connection": None,
    "online": None,
    "claims": [],
}


@pytest.fixture(autouse=True)
def _views(at):
    at(look=look, look_async=look_async)
    middleware._log_throttle.clear()


def test_scheme_and_address_are_those_of_the_browser():
    seen = Through().get("/look/").json()
    assert seen["secure"] is True
    assert seen["url"] == "https://localhost:8443/look/"
    assert seen["address"] == ADDRESS
    assert seen["trusted"] is True


@pytest.mark.parametrize("path", ["/look/", "/look_async/"])
def test_they_are_in_asynchronous_django_too(path):
    seen = run(AsyncThrough().get, path).json()
    assert (seen["secure"], seen["address"], seen["trusted"]) == (True, ADDRESS, True)
    assert seen["url"] == f"https://testserver{path}"


def test_plain_http_is_told_as_such():
    headers = signed_headers("GET", "/look/", scheme="http")
    seen = Client().get("/look/", headers=headers, secure=True).json()
    assert (seen["secure"], seen["trusted"]) == (False, True)


def test_ipv6_and_a_missing_peer_address_are_fine():
    headers = signed_headers("GET", "/look/", address="2001:db8::7")
    seen = Client().get("/look/", headers=headers, REMOTE_ADDR="").json()
    assert seen["address"] == "2001:db8::7"


@pytest.mark.parametrize("address", ["", "unknown", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_left_out(address):
    headers = signed_headers("GET", "/look/", address=address)
    seen = Client().get("/look/", headers=headers).json()
    assert (seen["address"], seen["trusted"]) == ("", True)


def test_what_a_server_does_with_the_forwarded_fields_does_not_matter():
    """Waitress removes them, and a proxy in between may write its own."""
    for said in ({}, {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "http"}):
        seen = Through().get("/look/", headers=said).json()
        assert (seen["secure"], seen["address"], seen["trusted"]) == (True, ADDRESS, True)


def test_who_signs_by_hand_may_say_the_client_in_the_forwarded_fields():
    headers = signed_headers("GET", "/look/")
    headers["X-Forwarded-For"] = headers.pop("Gatepost-Address")
    headers["X-Forwarded-Proto"] = headers.pop("Gatepost-Scheme")
    seen = Client().get("/look/", headers=headers).json()
    assert (seen["secure"], seen["address"], seen["trusted"]) == (True, ADDRESS, True)


CLAIMS = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "Gatepost-Address": "203.0.113.9",
    "Gatepost-Scheme": "https",
    "Gatepost-Connection": "c1",
    "Gatepost-Online": "3",
}


def test_without_a_signature_nothing_is_believed():
    assert Client().get("/look/", headers=CLAIMS).json() == UNKNOWN


def test_nor_in_asynchronous_django():
    seen = run(AsyncClient().get, "/look/", headers=CLAIMS).json()
    assert seen == UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"Gatepost-Address": "203.0.113.9"},
        {"Gatepost-Scheme": "http"},
        {"Host": "localhost"},
        {"Gatepost-Signature": "t=1,v1=" + "0" * 64},
        {"Gatepost-Signature": "garbage"},
        {"Gatepost-Signature": ""},
        {"Gatepost-Signature": fakes.sign("GET", "/look/", secret="x" * 32)},
        {"Gatepost-Signature": fakes.sign("POST", "/look/", body=None)},
        {"Gatepost-Signature": fakes.sign("GET", "/other/", body=None)},
    ],
)
def test_with_a_signature_of_something_else_nothing_is_believed(change, caplog):
    seen = Through().get("/look/", headers=change).json()
    assert (seen["secure"], seen["address"], seen["trusted"]) == (False, "", False)
    assert "not believed" in caplog.text


def test_a_signature_that_does_not_hold_makes_nobody_a_neighbour(at, settings):
    """What brought it may be the gateway, whose address INTERNAL_IPS and allow-lists may have."""
    settings.DEBUG, settings.INTERNAL_IPS = True, ["127.0.0.1"]

    def say(request):
        peer = request.scope["client"] if hasattr(request, "scope") else request.META["REMOTE_HOST"]
        return JsonResponse({"debug": "debug" in debug(request), "client": peer})

    at(look=say)
    wrong = {"Gatepost-Signature": "t=1,v1=" + "0" * 64}
    seen = Through(REMOTE_HOST="localhost").get("/look/", headers=wrong).json()
    assert seen == {"debug": False, "client": ""}
    assert Client(REMOTE_HOST="x").get("/look/").json()["debug"] is True
    seen = run(AsyncThrough().get, "/look/", headers=wrong).json()
    assert seen == {"debug": False, "client": None}
    assert run(AsyncThrough().get, "/look/").json()["client"] == [ADDRESS, 0]


def test_an_old_signature_is_not_believed():
    old = int(time.time()) - 61
    headers = signed_headers("GET", "/look/", at=old)
    assert Client().get("/look/", headers=headers).json()["trusted"] is False


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_an_old_signature_is_called_old(kind, caplog):
    """And not one of another secret, whether the request has a body or none."""
    headers = signed_headers("POST", "/look/", at=int(time.time()) - 75)
    for body in (b"", b"{}"):
        middleware._log_throttle.clear()
        Client().post("/look/", body, content_type=kind, headers=headers)
        assert "clock of the signer is 7" in caplog.records[-1].getMessage()


def test_during_rotation_both_secrets_are_believed(settings):
    settings.GATEPOST = {
        "SECRET": "the-next-secret-0123456789abcdef",
        "SECRET_PREVIOUS": fakes.SECRET,
    }
    assert Through().get("/look/").json()["trusted"] is True
    settings.GATEPOST = {"SECRET": "the-next-secret-0123456789abcdef"}
    assert Through().get("/look/").json()["trusted"] is False


def test_without_a_secret_nothing_is_believed_and_pages_are_answered(settings, monkeypatch, caplog):
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    settings.GATEPOST = {}
    assert Through().get("/look/").json()["trusted"] is False
    assert "Set GATEPOST['SECRET']" in caplog.text


def test_a_storm_of_wrong_signatures_is_logged_once_a_minute(caplog):
    for _ in range(50):
        Through().get("/look/", headers={"Gatepost-Signature": "garbage"})
    assert len(caplog.records) == 1


def test_the_projects_own_scheme_header_still_counts(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert Through().get("/look/").json()["secure"] is True


def test_a_redirect_to_https_leads_nowhere_else(settings):
    security = "django.middleware.security.SecurityMiddleware"
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], security, *settings.MIDDLEWARE[1:]]
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/look/").status_code == 301
    assert Through().get("/look/").status_code == 200


def test_a_post_passes_the_csrf_check_and_a_foreign_one_does_not(at):
    at(form=lambda request: HttpResponse(request.POST["x"]))
    browser = Through(enforce_csrf_checks=True)
    token = "a" * 32
    browser.cookies["csrftoken"] = token

    def post(origin):
        return browser.post(
            "/form/", {"x": "y", "csrfmiddlewaretoken": token}, headers={"Origin": origin}
        )

    assert post("https://localhost:8443").content == b"y"
    assert post("http://localhost:8443").status_code == 403
    assert post("https://localhost").status_code == 403
    assert post("https://evil.example").status_code == 403


# What runserver hides: the path as it was sent


@pytest.mark.parametrize(
    "target", ["/look/", "/l%6fok/", "/%6Cook/?q=%7e&r=%7E", "/look/?", "//look/", "/look/?a?b"]
)
def test_any_spelling_of_a_path_is_believed_once_it_is_told(target):
    headers = {**signed_headers("GET", target), "Gatepost-Target": target}
    query = target.partition("?")[2]
    response = Client().get("/look/", headers=headers, QUERY_STRING=query)
    assert response.json()["trusted"] is True


@pytest.mark.parametrize("target", ["/%E9%ff/", "/e%ff/?", "/%c3%a4%ff/?q=%ff"])
def test_a_path_that_is_not_utf_8_is_believed_once_it_is_told(at, target):
    at(**{"<path:any>": lambda request, any: look(request)})
    headers = {**signed_headers("GET", target), "Gatepost-Target": target}
    path, _, query = target.partition("?")
    assert Client().get(path, headers=headers, QUERY_STRING=query).json()["trusted"] is True


@pytest.mark.parametrize("raw", ["kept", "lost"])
@pytest.mark.parametrize("target", ["/e%ff/?", "/e%ff/?q=%ff", "/a/?", "/%c3%a4/", "/%6fo//x/"])
def test_any_spelling_is_believed_in_asynchronous_django(at, target, raw):
    """Its servers decode a path leniently, and keep no question mark without a query."""
    at(**{"<path:any>": lambda request, any: look(request)})
    path, _, query = target.partition("?")
    fields = {**signed_headers("GET", target), "Gatepost-Target": target}
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode() if raw == "kept" else None,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), fields[name].encode()) for name in fields],
        "client": ("127.0.0.1", 1),
    }
    request = ASGIRequest(scope, BytesIO())
    made = middleware.GatepostMiddleware(look)
    assert json.loads(made(request).content)["trusted"] is True


def test_beyond_ascii(at):
    at(**{"grüße": look})
    headers = signed_headers("GET", "/gr%c3%bc%C3%9Fe/")
    told = {**headers, "Gatepost-Target": "/gr%c3%bc%C3%9Fe/"}
    assert Client().get("/grüße/", headers=told).json()["trusted"] is True
    assert Client().get("/grüße/", headers=headers).json()["trusted"] is False
    usual = signed_headers("GET", "/gr%C3%BC%C3%9Fe/")
    assert Client().get("/grüße/", headers=usual).json()["trusted"] is True


@pytest.mark.parametrize("target", ["/other/", "/look", "/look/?q=1", "/look/%20", "", "look/"])
def test_a_signature_of_another_path_cannot_be_told_to_be_of_this_one(target):
    headers = {**signed_headers("GET", target), "Gatepost-Target": target}
    assert Client().get("/look/", headers=headers).json()["trusted"] is False


def test_a_server_that_keeps_the_request_line_need_not_be_told():
    headers = signed_headers("GET", "/l%6fok/")
    seen = Client().get("/look/", headers=headers, RAW_URI="/l%6fok/").json()
    assert seen["trusted"] is True


def test_a_prefix_that_a_server_took_off_is_part_of_what_was_signed(at):
    headers = signed_headers("GET", "/app/look/")
    seen = Client().get("/look/", headers=headers, SCRIPT_NAME="/app").json()
    assert seen["trusted"] is True


def test_force_script_name_is_not(settings):
    settings.FORCE_SCRIPT_NAME = "/app"
    assert Through().get("/look/").json()["trusted"] is True


# request.gatepost


def test_the_senders_connection_and_presence_are_given():
    seen = Through().get("/look/", headers={"Gatepost-Connection": "c1", "Gatepost-Online": "2"})
    assert (seen.json()["connection"], seen.json()["online"]) == ("c1", 2)


@pytest.mark.parametrize("online", ["", "-1", "many", "٣x"])
def test_a_presence_that_is_no_number_is_unknown(online):
    seen = Through().get("/look/", headers={"Gatepost-Online": online}).json()
    assert seen["online"] is None


# The gateway's own calls, whose bodies are signed


def test_its_own_calls_are_believed_by_middlewares_that_come_later(settings, db):
    security = "django.middleware.security.SecurityMiddleware"
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], security, *settings.MIDDLEWARE[1:]]
    settings.SECURE_SSL_REDIRECT = True
    auth, body = "/_gatepost/auth/", b'{"sessions":[]}'
    headers = signed_headers("GET", auth, body=b"")
    assert Client().get(auth, headers=headers).status_code == 200
    batch = "/_gatepost/sessions/"
    headers = signed_headers("POST", batch, body=body)
    response = Client().post(batch, body, content_type="application/json", headers=headers)
    assert response.json() == {"sessions": []}


@pytest.mark.parametrize(
    "meta",
    [
        {"CONTENT_TYPE": "text/plain"},  # wsgiref, and so runserver
        {"CONTENT_TYPE": "", "CONTENT_LENGTH": ""},
        {"CONTENT_TYPE": "application/octet-stream", "CONTENT_LENGTH": "0"},
    ],
)
def test_they_are_believed_whatever_a_server_says_of_a_body_that_is_none(meta, caplog):
    auth = "/_gatepost/auth/"
    seen = []
    made = middleware.GatepostMiddleware(lambda request: HttpResponse(seen.append(request)))
    headers = signed_headers("GET", auth, body=b"")
    made(RequestFactory().get(auth, headers=headers, **meta))
    assert (seen[0].is_secure(), seen[0].gatepost.trusted) == (True, True)
    assert not caplog.records


def test_a_body_that_streams_is_left_to_the_view(at):
    """A view that reads its upload in pieces finds all of it."""
    at(upload=lambda request: HttpResponse(request.read(3) + b"|" + request.read()))
    browser = Through(enforce_csrf_checks=False)
    response = browser.post("/upload/", b"abcdef", content_type="application/octet-stream")
    assert response.content == b"abc|def"


def test_it_neither_reads_nor_writes_a_session(log_in, django_assert_num_queries):
    browser = Through()
    browser.cookies = log_in().cookies
    before = list(Session.objects.values_list())
    with django_assert_num_queries(0):
        assert browser.get("/look/").status_code == 200
    assert list(Session.objects.values_list()) == before


def test_a_request_without_the_handlers_attributes_is_survived():
    request = RequestFactory().get("/")
    made = middleware.GatepostMiddleware(
        lambda request: HttpResponse(str(request.gatepost.trusted))
    )
    assert made(request).content == b"False"
