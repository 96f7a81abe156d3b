"""`gateway_check` without a gateway of flesh and blood; e2e/ has both directions."""

import io

import pytest
from django.core.management import CommandError, call_command

import fakes


@pytest.fixture(autouse=True)
def _elsewhere(settings, tmp_path):
    settings.BASE_DIR = tmp_path  # No gateway.toml here.


def check(*arguments):
    out = io.StringIO()
    code = 0
    try:
        call_command("gateway_check", *arguments, stdout=out, no_color=True)
    except CommandError as error:
        code = error.returncode
    return code, out.getvalue()


def test_what_cannot_be_checked_is_said(gateway):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    code, said = check()
    assert code == 0
    assert "left   the way back: name the gateway's socket route with --url" in said
    assert [call.path for call in gateway.calls] == ["/live", "/v1/connections?user=-"]


def test_the_first_thing_that_is_wrong_decides(settings, gateway):
    settings.ALLOWED_HOSTS = ["http://localhost"]
    gateway.close()
    code, said = check()
    assert code == 1
    assert "gatepost.E006" in said
    assert "cannot reach the gateway" in said


def test_a_silenced_message_is_not_said(settings, gateway):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    settings.ALLOWED_HOSTS = ["http://localhost"]
    settings.SILENCED_SYSTEM_CHECKS = ["gatepost.E006"]
    assert check()[0] == 0


def test_another_secret(gateway):
    gateway.script.append(lambda handler: fakes.respond(handler, 200, b"{}"))
    gateway.script.append(fakes.problem(401, "the signature does not hold"))
    code, said = check()
    assert code == 3
    assert "same secret" in said


def test_every_gateway_is_asked(settings, gateway):
    settings.GATEPOST = {**settings.GATEPOST, "URL": [gateway.url, "http://127.0.0.1:1"]}
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    code, said = check()
    assert code == 2
    assert f"fine   Django reaches the gateway at {gateway.url}" in said
    assert "http://127.0.0.1:1 (" in said


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b""])
def test_no_websocket_there(gateway, answer, monkeypatch):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    monkeypatch.setattr("ssl.SSLContext.wrap_socket", lambda self, plain, **_: plain)
    gateway.script.append(
        lambda handler: (handler.wfile.write(answer), setattr(handler, "close_connection", True))
    )
    code, said = check("--url", gateway.url.replace("http:", "https:"))
    assert code == 2
    assert "No WebSocket at https://" in said
    assert ("404 Not Found" if answer else "without an answer") in said
