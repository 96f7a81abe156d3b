"""`gateway_check` without a gateway of flesh and blood; e2e/ has both directions."""

import io
import sys

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection

import fakes
from gatepost import running
from gatepost.program.probe import Close


@pytest.fixture(autouse=True)
def _elsewhere(settings, tmp_path, db):
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


def test_before_migrate_it_says_so_and_does_not_wait_for_the_view(gateway):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO not_yet")
    code, said = check("--url", gateway.url.replace("http:", "https:"))
    assert code == 4
    assert "wrong  Django cannot read sessions: " in said
    assert "django_session" in said
    assert "Run `manage.py migrate`" in said
    assert "both have the same secret" in said
    assert len(gateway.calls) == 2


def test_with_a_resolver_of_its_own_a_project_need_not_have_sessions(settings, gateway):
    settings.GATEPOST = {**settings.GATEPOST, "USER_RESOLVER": "request"}
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO not_yet")
    assert "cannot read sessions" not in check()[1]


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


@pytest.fixture
def of_other_apps():
    """Messages that checks of other apps give."""
    messages = []

    def check(**kwargs):
        return messages

    checks.register(check)
    yield messages
    checks.registry.registry.registered_checks.discard(check)


@pytest.mark.parametrize(
    ("found", "code", "line"),
    [
        ([checks.Warning("w", id="shop.W001")], 0, "warn   1 warning is of other apps."),
        ([checks.Info("i", id="shop.I001")] * 2, 0, "warn   2 warnings are of other apps."),
        ([checks.Error("e", id="shop.E001")], 1, "wrong  1 error is of other apps."),
        ([checks.Error("e", id="shop.E001")] * 2, 1, "wrong  2 errors are of other apps."),
    ],
)
def test_only_what_counts_is_wrong(gateway, of_other_apps, found, code, line):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    of_other_apps += found
    said = check()
    assert said[0] == code
    assert line in said[1]
    assert ("wrong" in said[1]) == (code != 0)


def test_a_warning_of_ours_is_one(gateway, settings):
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    settings.USE_X_FORWARDED_HOST = True
    code, said = check()
    assert code == 0
    assert "warn   gatepost.W013" in said


def test_the_running_rungateway_is_what_is_checked(settings, tmp_path, gateway, monkeypatch):
    settings.DEBUG = True
    settings.GATEPOST = {"SECRET": settings.GATEPOST["SECRET"]}
    monkeypatch.delenv("GATEPOST_URL", raising=False)
    config = tmp_path / "elsewhere.toml"
    config.touch()
    program = tmp_path / "gatepost"
    program.write_text(
        "#!/bin/sh\n"
        'echo "  https  $GATEPOST_SERVER__HTTPS"; echo "  /ws/  WebSocket, sessions judged by x"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("GATEPOST_BIN", str(program))
    asked = []
    monkeypatch.setattr(
        "gatepost.program.probe.handshake",
        lambda url, cookie, **options: asked.append((url, options["ca"])) or Close(4001, ""),
    )
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    variables = {"GATEPOST_SERVER__HTTPS": "127.0.0.1:8444"}
    run = running.Running("https://localhost:8444/", gateway.url, config, tmp_path, variables)
    left = running.RunFile(tmp_path, run)
    try:
        code, said = check()
    finally:
        left.withdraw()
    assert code == 0, said
    assert f"Django reaches the gateway at {gateway.url}" in said
    assert asked == [("https://localhost:8444/ws/", tmp_path)]


@pytest.mark.parametrize(
    ("hosts", "https", "url"),
    [
        ("*.shop.test, www.shop.test", "0.0.0.0:8444", "https://www.shop.test:8444/ws/"),
        ("www.shop.test", "off, proxies in front end TLS", "https://www.shop.test/ws/"),
    ],
)
def test_the_address_is_the_first_hosts_and_that_of_a_proxy_which_ends_tls(
    tmp_path, gateway, monkeypatch, hosts, https, url
):
    (tmp_path / "gateway.toml").touch()
    program = tmp_path / "gatepost"
    rows = f"  hosts  {hosts}\n  https  {https}\n  /ws/  WebSocket, sessions judged by x\n"
    program.write_text(f"#!/bin/sh\nprintf '{rows}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("GATEPOST_BIN", str(program))
    asked = []
    monkeypatch.setattr(
        "gatepost.program.probe.handshake",
        lambda url, cookie, **options: asked.append((url, options["ca"])) or Close(4001, ""),
    )
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    code, said = check()
    assert code == 0, said
    assert asked == [(url, None)]


def test_what_a_killed_rungateway_left_is_said(settings, tmp_path, gateway):
    settings.DEBUG = True
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    (tmp_path / ".gatepost").mkdir()
    (tmp_path / ".gatepost" / running.NAME).write_text("{}")
    code, said = check()
    assert code == 0
    assert "has ended" in said


def test_a_view_that_fails_is_not_called_out_of_reach_alone(gateway, monkeypatch):
    monkeypatch.setattr(
        "gatepost.program.probe.handshake",
        lambda *args, **options: Close(1013, "the auth view fails (500): Django's log has it"),
    )
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 2
    code, said = check("--url", "https://localhost:8443/ws/")
    assert code == 4
    assert "gets no judgement: the auth view fails (500): Django's log has it (1013)" in said
    assert "is everything migrated?" in said.replace("\n", " ")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read TOML")
def test_other_security_headers_than_django_s_are_said(settings, gateway, tmp_path):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    settings.SECURE_HSTS_SECONDS = 3600
    gateway.script += [lambda handler: fakes.respond(handler, 200, b"{}")] * 4
    file = tmp_path / "gateway.toml"
    file.write_text('[headers]\n"x-frame-options" = "SAMEORIGIN"\n')
    said = check()[1]
    assert said.count("gatepost.W025") == 4
    assert "says 'SAMEORIGIN'" in said
    assert '"X-Frame-Options" = "DENY"' in said
    assert 'In [server] of gateway.toml: hsts = "3600s"' in said
    file.write_text(
        '[server]\nhsts = "3600s"\n[headers]\n"x-frame-options" = "DENY"\n'
        '"Referrer-Policy" = "same-origin"\n"Cross-Origin-Opener-Policy" = "same-origin"\n'
    )
    assert "W025" not in check()[1]
    settings.DEBUG = True
    file.write_text("[headers]\n")
    assert "W025" not in check()[1]
