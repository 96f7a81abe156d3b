"""Gatepost-Session-Cookie: Django says what its session cookie is called, and where it is set."""

import pytest
from django.http import HttpResponse
from django.test import Client
from through import AsyncThrough, Through, riding, run

pytestmark = pytest.mark.django_db

HEADER = "Gatepost-Session-Cookie"


def page(request):
    return HttpResponse(b"page")


async def page_async(request):
    response = HttpResponse(b"page")
    response[HEADER] = "of somebody else"
    return response


@pytest.fixture(autouse=True)
def _views(at):
    at(page=page, page_async=page_async)


@pytest.mark.parametrize(
    ("name", "path", "domain", "expected"),
    [
        ("sessionid", "/", None, "sessionid; Path=/"),
        ("__Secure-sessionid", "/", "", "__Secure-sessionid; Path=/"),
        ("app", "/app/", ".example.com", "app; Path=/app/; Domain=.example.com"),
    ],
)
def test_it_is_on_every_answer_to_the_gateway(ask, settings, name, path, domain, expected):
    settings.SESSION_COOKIE_NAME = name
    settings.SESSION_COOKIE_PATH = path
    settings.SESSION_COOKIE_DOMAIN = domain
    assert Through().get("/page/")[HEADER] == expected
    assert run(AsyncThrough().get, "/page_async/")[HEADER] == expected
    assert Through().get("/nothing/here/")[HEADER] == expected
    assert ask()[HEADER] == expected
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Gatepost" not in name]
    assert ask()[HEADER] == expected


def test_past_the_gateway_nothing_is_said():
    assert HEADER not in Client().get("/page/")


def namesake(request):
    """A site that once had its cookie on the whole domain, and still takes it away."""
    assert request.user.is_authenticated
    response = HttpResponse(b"page")
    response.delete_cookie("sessionid", domain=".example.com")
    return response


def test_who_a_session_is_is_told_beside_the_deletion_of_a_namesake(at, log_in, user):
    at(namesake=namesake)
    browser = Through()
    browser.cookies = log_in().cookies
    response = browser.get("/namesake/")
    assert response.cookies["sessionid"]["domain"] == ".example.com"
    assert riding(response, "Identity")["user"] == str(user.pk)
