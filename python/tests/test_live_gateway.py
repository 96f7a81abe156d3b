"""The real gateway in front of a live server, for a project's own tests."""

import os
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings

from gatepost import Everyone, Group, Text, notify, revoke
from gatepost.sending import operations
from gatepost.testing import LiveGateway, LiveGatewayError, SocketClosedError
from gatepost.testing.live import _readable

HERE = Path(__file__).parent
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def browser(user):
    client = Client()
    client.force_login(user)
    return client


def test_a_notification_reaches_the_browser_of_its_user(live_gateway, user, browser):
    with live_gateway.connect(client=browser) as socket:
        notify(user, {"type": "notification", "n": 1})
        notify(Group("others"), {"n": 2})
        notify(Everyone, {"n": 3})
        assert socket.receive() == {"type": "notification", "n": 1}
        assert socket.frames() == [{"n": 3}]
        assert socket.frames() == []


def test_a_text_reaches_the_browser_as_it_is_and_an_end_alone_reaches_no_socket(
    live_gateway, user, browser
):
    with live_gateway.connect(client=browser) as socket:
        notify(user, text="<li>Grüße</li>\n", event="order", key="li")
        notify(user, Text("[1"))
        notify(user, end=True)
        notify(user, None, end=True)
        assert [socket.receive_text() for _ in range(3)] == ["<li>Grüße</li>\n", "[1", "null"]
        assert socket.frames() == []


def test_what_is_sent_right_after_connecting_is_not_missed(live_gateway, user, browser):
    for n in range(5):
        with live_gateway.connect(client=browser) as socket:
            notify(user, {"n": n})
            assert socket.receive() == {"n": n}


def test_frames_has_all_that_was_sent_every_time(live_gateway, user, browser):
    # Pongs that overtook frames were one in seven on a busy machine.
    with live_gateway.connect(client=browser) as socket:
        for n in range(150):
            notify(user, n)
            assert socket.frames() == [n]


def test_a_cookie_may_be_given_by_itself(live_gateway, user, browser):
    cookies = {"sessionid": browser.cookies["sessionid"].value}
    with live_gateway.connect("/ws/notifications/", cookies=cookies) as socket:
        notify(user, "hello")
        assert socket.receive_text() == '"hello"'


@pytest.mark.django_db(transaction=True)
def test_a_route_that_keeps_visitors_has_them_without_a_user(live_server):
    routes = [{"path": "/ws/news/", "anonymous": True}]
    gateway = LiveGateway(live_server.url, sockets=routes).start()
    try:
        with gateway.connect() as socket:
            notify(Everyone, {"n": 1})
            assert socket.frames() == []
            (one,) = operations.connections()
            assert (one["user"], one["socket"]) == (None, "/ws/news/")
    finally:
        gateway.stop()


def test_who_is_not_logged_in_is_closed(live_gateway):
    socket = live_gateway.connect()
    assert socket.closed() == (4001, "not logged in")
    assert socket.frames() == []
    with pytest.raises(SocketClosedError) as raised:
        socket.receive()
    assert str(raised.value) == "the gateway closed the socket: 4001 'not logged in'"
    assert (raised.value.code, raised.value.reason) == (4001, "not logged in")


def test_a_revocation_is_seen_after_the_frames_before_it(live_gateway, user, browser):
    with live_gateway.connect(client=browser) as socket:
        notify(user, {"n": 1})
        revoke(user, reason="gone")
        assert socket.closed() == (4001, "gone")
        assert socket.receive() == {"n": 1}


def test_a_logout_in_the_browser_closes_its_sockets(live_gateway, browser):
    with live_gateway.connect(client=browser) as socket:
        browser.get("/logout/")
        assert socket.closed()[0] == 4001


def test_a_frame_that_does_not_come_fails_the_test_in_words(live_gateway, browser):
    with (
        live_gateway.connect(client=browser) as socket,
        pytest.raises(AssertionError, match=r"no frame came within 0\.01 s"),
    ):
        socket.receive(timeout=0.01)


def test_a_page_is_served_through_the_gateway(live_gateway, user, browser):
    request = urllib.request.Request(live_gateway.url)
    request.add_header("Cookie", f"sessionid={browser.cookies['sessionid'].value}")
    with urllib.request.urlopen(request, context=live_gateway.ssl_context()) as page:
        assert page.read() == b"ann"


def test_the_certificate_is_believed_only_by_who_asks_for_it(live_gateway):
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(live_gateway.url, context=ssl.create_default_context())


@pytest.mark.usefixtures("live_gateway")
class TestSettings:
    @pytest.fixture
    def gatepost_sockets(self):
        return ["/ws/a/", "/ws/b/"]

    @pytest.fixture
    def gatepost_environment(self):
        return {"GATEPOST_LIMITS__URI_SIZE": "1KiB"}

    def test_the_fixtures_name_sockets_and_further_keys(self, live_gateway, user, browser):
        assert live_gateway.socket_url().endswith("/ws/a/")
        with live_gateway.connect("/ws/b/", client=browser) as socket:
            notify(user, {"n": 1}, socket="/ws/a/")
            notify(user, {"n": 2}, socket="/ws/b/")
            assert socket.frames() == [{"n": 2}]
        with pytest.raises(OSError, match="414"):
            urllib.request.urlopen(
                f"{live_gateway.url}/?{'x' * 2000}", context=live_gateway.ssl_context()
            )


def test_everything_is_gone_when_it_stops():
    before = dict(django_settings.GATEPOST)
    gateway = LiveGateway(NOBODY)
    with gateway:
        folder = gateway.ca_file.parent.parent
        assert (folder / "secret").stat().st_mode & 0o777 == 0o600
        assert {path.name for path in folder.iterdir()} >= {"gateway.toml", "secret", "certs"}
        named = django_settings.GATEPOST
        assert named["URL"] == gateway.internal_url
        secret = named["SECRET"]
        pid = gateway._process._popen.pid
        os.kill(pid, 0)
    assert not folder.exists()
    assert before == django_settings.GATEPOST
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "ready" in gateway.log
    assert secret not in gateway.log


def test_what_is_set_for_another_gateway_changes_nothing(monkeypatch):
    monkeypatch.setenv("GATEPOST_SERVER__HTTPS", "256.0.0.1:1")
    monkeypatch.setenv("GATEPOST_SECRET", "x" * 40)
    with LiveGateway(NOBODY) as gateway:
        assert gateway.url.startswith("https://localhost:")


def test_a_gateway_that_cannot_start_says_why_and_leaves_nothing():
    gateway = LiveGateway(NOBODY, sockets=["no-slash"])
    before = dict(django_settings.GATEPOST)
    with pytest.raises(LiveGatewayError, match=r"the gateway ended at once\. It said:\n") as raised:
        gateway.start()
    assert "gateway.toml" in str(raised.value)
    assert before == django_settings.GATEPOST
    assert gateway._folder is None
    assert gateway._process is None


def test_a_missing_binary_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEPOST_BIN", str(tmp_path / "nothing"))
    with pytest.raises(LiveGatewayError, match=r"GATEPOST_BIN names .*nothing, which is no"):
        LiveGateway(NOBODY).start()


def test_urls_without_gatepost_say_what_to_add(tmp_path):
    with (
        override_settings(ROOT_URLCONF="newsroom.empty_urls"),
        pytest.raises(LiveGatewayError, match=r'add path\("_gatepost/"'),
    ):
        LiveGateway(NOBODY).start()


def test_the_log_is_shown_as_lines_to_read():
    line = '{"timestamp":"T","level":"INFO","message":"ready","url":"u","target":"t"}'
    assert _readable(line) == "T INFO ready url=u"
    assert _readable("no JSON at all") == "no JSON at all"


def test_without_websockets_connecting_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['websockets'] = None\n"
        "from gatepost.testing.sockets import LiveSocket\n"
        "try:\n"
        "    LiveSocket(None)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'needs a WebSocket client: pip install "gatepost[testing]"' in ran.stdout


def test_a_gateway_that_nobody_stopped_ends_with_its_process():
    code = (
        "import django\n"
        "django.setup()\n"
        "from gatepost.testing import LiveGateway\n"
        "gateway = LiveGateway('http://127.0.0.1:1').start()\n"
        "print(gateway._process._popen.pid)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": f"{HERE.parent}:{HERE}",
            "DJANGO_SETTINGS_MODULE": "project.settings",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(ran.stdout), 0)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib")
def test_what_is_said_of_a_socket_route_reaches_the_gateway(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    said = 'path = "/ws/orders/{pk}/"\nview = true\nanonymous = true\n'
    route = f"[[sockets]]\n{said}presence = false\n"
    (tmp_path / "gateway.toml").write_text(route)
    ours = {"path": "/ws/a/", "presence": True}
    for gateway, expected in (
        (LiveGateway(NOBODY), route.removesuffix("presence = false\n")),
        (LiveGateway(NOBODY, sockets=[ours]), '[[sockets]]\npath = "/ws/a/"\npresence = true\n'),
    ):
        assert gateway._configuration().endswith(expected)
