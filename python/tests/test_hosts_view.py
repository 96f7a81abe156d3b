"""Which further names the gateway may have certificates for: the view, and its checks."""

import sys

import pytest
from conftest import HEADERS
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from test_checks import HTTPS, said

import fakes
from gatepost.program import gateway_toml
from project.people.models import Note

HOSTS = "/_gatepost/hosts/"


def is_ours(name):
    return name == "shop.example"


def is_noted(name):
    return Note.objects.filter(text=name).exists()


def fails(name):
    raise RuntimeError("the database is away")


async def is_ours_later(name):
    return False


def ask(name, *, target=None, client=None, **named):
    """Asks as the gateway does."""
    target = target or f"{HOSTS}?name={name}"
    signed = fakes.signed_fields("GET", target, **{**HEADERS, **named})
    fields = {f"HTTP_{field.upper().replace('-', '_')}": signed[field] for field in signed}
    return (client or Client()).get(target, **fields)


@pytest.fixture
def hosts(settings):
    def hosts(function):
        settings.GATEPOST = {**settings.GATEPOST, "HOSTS": function}

    return hosts


@pytest.mark.parametrize("function", [is_ours, "test_hosts_view.is_ours"])
def test_a_name_is_allowed_where_the_projects_function_says_so(hosts, function):
    hosts(function)
    allowed = ask("shop.example")
    assert (allowed.status_code, allowed.content) == (204, b"")
    assert "no-store" in allowed["Cache-Control"]
    assert ask("SHOP.example").status_code == 204
    refused = ask("evil.example")
    assert (refused.status_code, refused.json()["error"]) == (404, "not_allowed")


@pytest.mark.django_db
def test_the_function_may_use_the_database(hosts):
    hosts(is_noted)
    assert ask("shop.example").status_code == 404
    Note.objects.create(text="shop.example")
    assert ask("shop.example").status_code == 204


def test_without_a_function_no_name_is_allowed_and_the_answer_says_what_to_write():
    answer = ask("shop.example")
    assert (answer.status_code, answer.json()["error"]) == (404, "hosts_not_set")
    assert "GATEPOST['HOSTS'] is not set" in answer.json()["detail"]


def test_only_the_gateway_is_answered(hosts):
    hosts(is_ours)
    assert Client().get(f"{HOSTS}?name=shop.example").status_code == 403
    other_secret = ask("shop.example", secret="another-secret-of-at-least-32-bytes!")
    assert other_secret.status_code == 403
    # A signature is for one name.
    signed = fakes.signed_fields("GET", f"{HOSTS}?name=shop.example", **HEADERS)
    fields = {f"HTTP_{field.upper().replace('-', '_')}": signed[field] for field in signed}
    assert Client().get(f"{HOSTS}?name=evil.example", **fields).status_code == 403
    assert Client().post(HOSTS).status_code == 405


def test_what_is_no_question_is_neither_allowed_nor_refused(hosts):
    hosts(is_ours)
    for target in (HOSTS, f"{HOSTS}?name="):
        assert ask("", target=target).status_code == 400


def test_a_function_that_fails_or_is_a_coroutine_neither_allows_nor_refuses(hosts):
    for function, error in [(fails, RuntimeError), (is_ours_later, ImproperlyConfigured)]:
        hosts(function)
        with pytest.raises(error):
            ask("shop.example")
        client = Client(raise_request_exception=False)
        assert ask("shop.example", client=client).status_code == 500


# E046, W046


@pytest.fixture
def _sound(settings, tmp_path):
    settings.SECURE_PROXY_SSL_HEADER = HTTPS
    settings.BASE_DIR = tmp_path
    assert run_checks() == []


@pytest.mark.usefixtures("_sound")
def test_a_check_names_what_is_no_function(hosts):
    for wrong, sentence in [
        ("test_hosts_view.nobody", "no function that can be imported"),
        ("nowhere.is_ours", "no function that can be imported"),
        (["shop.example"], "no function that can be imported"),
        (is_ours_later, "is a coroutine"),
    ]:
        hosts(wrong)
        assert sentence in said("E046")[0]
    for right in (is_ours, "test_hosts_view.is_ours", None):
        hosts(right)
        assert said("E046") == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read gateway.toml")
@pytest.mark.usefixtures("_sound")
def test_a_check_misses_the_function_where_the_gateway_asks_it(hosts, tmp_path, monkeypatch):
    monkeypatch.setattr(gateway_toml, "in_force", lambda: tmp_path / "gateway.toml")
    for text, is_missing in [
        ('[tls.acme]\nnames = "django"\n', True),
        ('[tls.acme]\nnames = "hosts"\n', False),
        ("[tls.acme]\n", False),
        ("[server]\n", False),
    ]:
        (tmp_path / "gateway.toml").write_text(text)
        assert bool(said("W046")) is is_missing
    (tmp_path / "gateway.toml").write_text('[tls.acme]\nnames = "django"\n')
    hosts(is_ours)
    assert said("W046") == []
