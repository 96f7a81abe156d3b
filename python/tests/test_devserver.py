"""The parts of `rungateway`; e2e/test_rungateway.py has the whole."""

import json
import os
import pty
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatepost import conf
from gatepost.devserver import announcement, plan, ports, runserver, standin

PYTHON = Path(__file__).parents[1]

# The terminal


def output_of(code, *, stdout):
    """What a process writes that has a Terminal."""
    head = "import os, sys, subprocess\nfrom gatepost.devserver.terminal import Terminal\n"
    head += "terminal = Terminal([8000, 5173])\nheard = []\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        env={"PYTHONPATH": str(PYTHON), "PYTHONUNBUFFERED": "1"},
        stdout=stdout,
        timeout=30,
        check=True,
    ).stdout


def piped(code):
    return output_of(code, stdout=subprocess.PIPE).decode()


def test_what_the_process_and_its_children_write_gets_a_name():
    said = piped("""
        with terminal.caught("django", heard.append):
            print("one")
            print("two", file=sys.stderr)
            subprocess.run(["echo", "three"])
        print("after")
    """)
    assert said == "  django | one\n  django | two\n  django | three\nafter\n"


def test_lines_of_several_are_not_mixed():
    said = piped("""
        terminal.write("django", b"(Pdb) ")
        terminal.write("gatepost", b"ready\\n")
        terminal.write("django", b"next\\n")
        terminal.say("the URL")
    """)
    assert said == "  django | (Pdb) \ngatepost | ready\n  django | next\nthe URL\n"


#: What servers say of themselves when they start.
BANNERS = [
    "Starting development server at http://127.0.0.1:8000/",  # Django to 6.0
    "Starting WSGI development server at http://127.0.0.1:8000/",  # Django from 6.1
    "Starting ASGI/Daphne version 4.2.1 development server at http://127.0.0.1:8000/",
    "Quit the server with CONTROL-C.",
    "INFO: Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
    "  \x1b[32m➜\x1b[39m  Local:   \x1b[36mhttp://127.0.0.1:\x1b[1m5173\x1b[22m/\x1b[39m",
    "  Local:   http://127.0.0.1:5173/static/",
    "  On Your Network:  http://192.0.2.7:5173",
    "<i> Loopback: http://localhost:5173/, http://[::1]:5173/",
]


@pytest.mark.parametrize("banner", BANNERS)
def test_another_url_than_the_one_is_left_out(banner):
    said = piped(f"terminal.write('django', {banner + os.linesep!r}.encode() + b'ready\\n')")
    assert said == "  django | ready\n"


@pytest.mark.parametrize(
    "line",
    [
        "connecting to http://127.0.0.1:9000/",
        "Failed to load http://127.0.0.1:5173/src/main.js",
        "The site: https://localhost:8443/",
    ],
)
def test_what_is_no_address_of_a_server_behind_the_gateway_is_shown(line):
    assert piped(f"terminal.write('django', {line!r}.encode() + b'\\n')") == f"  django | {line}\n"


def test_what_django_writes_is_heard():
    said = piped("""
        with terminal.caught("django", heard.append):
            print("one")
        print(b"".join(heard))
    """)
    assert said == "  django | one\nb'one\\n'\n"


def test_on_a_terminal_django_still_writes_to_a_terminal():
    ours, theirs = pty.openpty()
    output_of(
        """
        with terminal.caught("django", heard.append):
            print(os.isatty(1), os.isatty(2))
        """,
        stdout=theirs,
    )
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert "django | \x1b[0mTrue True" in said


# Ports


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_gives_way_to_a_neighbour(taken):
    assert not ports.is_free("127.0.0.1", taken)
    assert ports.listens("127.0.0.1", taken)
    near = ports.this_or_near("127.0.0.1", taken)
    assert near != taken
    assert ports.is_free("127.0.0.1", near)
    assert ports.this_or_near("127.0.0.1", near) == near


def test_where_django_listens(taken):
    host, port = ports.split(plan.django_address("localhost:0"))
    assert host == "127.0.0.1"
    assert ports.is_free(host, port)
    assert plan.django_address(str(port)) == f"127.0.0.1:{port}"
    with pytest.raises(plan.PlanError, match=f"port {taken} is in use"):
        plan.django_address(str(taken))
    with pytest.raises(plan.PlanError, match="'x:y' is no port"):
        plan.django_address("x:y")


@pytest.mark.parametrize(
    ("listens", "called"),
    [
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        ("[::]:8000", "[::1]:8000"),
        ("10.0.0.5:8000", "10.0.0.5:8000"),
    ],
)
def test_every_address_of_a_machine_is_called_at_its_own(listens, called):
    assert ports.reachable(listens) == called


# The plan


@pytest.fixture
def decided(settings, tmp_path, monkeypatch):
    """A plan for a project in tmp_path, with a gateway that says what the test wants."""
    monkeypatch.delenv("GATEPOST_SECRET", raising=False)
    monkeypatch.delenv("GATEPOST_URL", raising=False)
    settings.BASE_DIR = tmp_path
    binary = tmp_path / "gatepost"

    def decide(*rows):
        text = "\n".join(f"  {name}  {value}" for name, value in rows)
        binary.write_text(f"#!/bin/sh\ncat <<'END'\ngateway.toml is fine\n\n{text}\nEND\n")
        binary.chmod(0o755)
        return plan.Plan(binary, tmp_path / "gateway.toml", "127.0.0.1:8000")

    return decide


def test_both_sides_get_the_projects_secret(settings, decided):
    settings.GATEPOST = {"SECRET": "s" * 32}
    made = decided()
    made.decide_secret()
    assert made.environment["GATEPOST_SECRET"] == "s" * 32


def test_without_debug_a_secret_must_be_there(settings, decided):
    settings.GATEPOST = {}
    with pytest.raises(plan.PlanError, match="GATEPOST_SECRET"):
        decided().decide_secret()


def test_the_secret_that_the_gateway_makes_is_left_to_it(settings, decided):
    settings.GATEPOST, settings.DEBUG = {}, True
    made = decided()
    made.decide_secret()
    assert made.environment == {}
    assert made.django_environment == {}


def test_where_django_would_not_find_it_one_is_made_where_it_does(settings, decided, tmp_path):
    settings.GATEPOST, settings.DEBUG = {}, True
    made = decided()
    made.config = tmp_path / "elsewhere" / "gateway.toml"
    made.decide_secret()
    secret = made.environment["GATEPOST_SECRET"]
    assert len(secret) >= conf.SHORTEST_SECRET
    assert conf.find_secret() == secret.encode()  # in Django, and in every other terminal
    again = decided()
    again.config = made.config
    again.decide_secret()
    assert again.environment == made.environment


def test_where_none_can_be_made_it_is_said(settings, decided, tmp_path):
    settings.GATEPOST, settings.DEBUG = {}, True
    (tmp_path / ".gatepost").write_text("a file")
    made = decided()
    made.config = tmp_path / "elsewhere" / "gateway.toml"
    with pytest.raises(plan.PlanError, match="Set GATEPOST_SECRET"):
        made.decide_secret()


def test_the_gateway_listens_where_the_project_calls_it(settings, decided):
    settings.GATEPOST = {"URL": "unix:/run/gatepost.sock"}
    made = decided()
    made.decide_internal()
    assert made.environment == {"GATEPOST_SERVER__INTERNAL": "unix:/run/gatepost.sock"}
    assert made.django_environment == {}
    assert made.announced("https://localhost:8443/", None).internal == "unix:/run/gatepost.sock"


def test_where_the_usual_internal_port_is_taken_django_is_told(
    settings, decided, taken, monkeypatch
):
    settings.GATEPOST = {}
    monkeypatch.setitem(conf.DEFAULTS, "URL", f"http://127.0.0.1:{taken}")
    made = decided()
    made.decide_internal()
    chosen = made.environment["GATEPOST_SERVER__INTERNAL"]
    assert chosen != f"127.0.0.1:{taken}"
    assert made.django_environment == {"GATEPOST_URL": f"http://{chosen}"}
    assert any("export GATEPOST_URL" in note for note in made.notes)
    settings.DEBUG = True  # Then other terminals find it by themselves.
    made = decided()
    made.decide_internal()
    assert made.notes == []


def test_taken_public_ports_give_way(decided, taken):
    address = f"127.0.0.1:{taken}"
    made = decided(("https", address), ("http", f"{address}, redirects to https"))
    made.decide_public(None)
    host, port = ports.split(made.environment["GATEPOST_SERVER__HTTPS"])
    assert (host, ports.is_free(host, port)) == ("127.0.0.1", True)
    assert made.environment["GATEPOST_SERVER__HTTP"] == ""
    assert len(made.notes) == 2


def test_both_loopback_addresses_move_to_another_port_together(decided, taken):
    made = decided(("https", f"127.0.0.1:{taken}, [::1]:{taken}"), ("http", "off"))
    made.decide_public(None)
    v4, v6 = made.environment["GATEPOST_SERVER__HTTPS"].split(",")
    assert ports.split(v4) == ("127.0.0.1", ports.split(v6)[1])
    assert ports.split(v6)[0] == "::1"


def test_free_public_ports_are_as_configured(decided):
    free = ports.any_free("127.0.0.1")
    made = decided(("https", f"127.0.0.1:{free}"), ("http", "off"))
    made.decide_public(None)
    assert made.environment == {}
    assert made.notes == []


def test_where_tls_ends_in_front_in_production_it_ends_here_while_developing(decided):
    said = "127.0.0.1:0, serves trusted proxies, redirects others to https"
    made = decided(("https", "off, proxies in front end TLS"), ("http", said))
    made.decide_public(None)
    host, port = ports.split(made.environment["GATEPOST_SERVER__HTTPS"])
    assert host == "127.0.0.1"
    assert port == 8443 or not ports.is_free(host, 8443)


def test_a_port_that_was_asked_for_must_be_free(decided, taken):
    made = decided(("https", "127.0.0.1:0"), ("http", "off"))
    with pytest.raises(plan.PlanError, match=f"port {taken} is in use"):
        made.decide_public(taken)
    free = ports.any_free("127.0.0.1")
    made.decide_public(free)
    assert made.environment["GATEPOST_SERVER__HTTPS"] == f"127.0.0.1:{free}"


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ("0.0.0.0:8443, [::]:8443", None),
        ("127.0.0.1:8443, [::1]:8443", "8443"),
        ("127.0.0.1:0", "0.0.0.0:0"),
        ("off, proxies in front end TLS", "8443"),
    ],
)
def test_the_network_is_let_in_where_that_is_asked_for(decided, configured, told):
    made = decided(("https", configured))
    made.open_to_network()
    assert made.environment["GATEPOST_SERVER__LAN"] == "true"
    assert made.environment.get("GATEPOST_SERVER__HTTPS") == told


OPEN = (
    "2026-11-29T13:51:28Z  WARN server.lan: everybody on the network can reach this gateway, and"
    " with it Django's DEBUG pages addresses=https://192.0.2.7:8443/ https://[2001:db8::7]:8443/"
)


def test_a_gateway_that_is_open_says_where_and_what_that_means(settings):
    settings.ALLOWED_HOSTS = ["192.0.2.7"]
    addresses = announcement.open_to_network(OPEN)
    assert addresses == ["https://192.0.2.7:8443/", "https://[2001:db8::7]:8443/"]
    said = announcement.of_network(addresses)
    assert all(address in said for address in addresses)
    assert "show settings and code" in said
    assert "add '[2001:db8::7]' to ALLOWED_HOSTS" in said
    settings.ALLOWED_HOSTS = ["*"]
    assert "ALLOWED_HOSTS" not in announcement.of_network(addresses)


def test_where_the_gateway_is_comes_from_its_log():
    line = 'INFO ready https=127.0.0.1:1 mode=dev ca=/a b/ca.pem url="https://localhost:1/"'
    found = announcement.ready(line)
    assert found == announcement.Ready("https://localhost:1/", Path("/a b/ca.pem"))
    assert announcement.ready("INFO made a local CA ca=/x") is None
    said = announcement.of_start(found, ["a note"]).splitlines()
    assert said[1] == "  https://localhost:1/"
    assert "  (a note)" in said
    assert announcement.open_to_network(line) == []


FRONTEND = plan.Frontend(Path("/frontend"), "serve --port {port}", 5173)


def test_a_configured_dev_server_is_started_at_a_free_port(decided, monkeypatch):
    free = ports.any_free("127.0.0.1")
    made = decided(("/", f"dev server at http://127.0.0.1:{free}"))
    made.decide_frontend(FRONTEND, asked=False)
    assert made.frontend is FRONTEND
    assert made.frontend_port == free
    assert made.environment == {"GATEPOST_FRONTEND__UPSTREAM": f"http://127.0.0.1:{free}"}


def test_a_dev_server_that_runs_already_is_left_alone(decided, taken):
    made = decided(("/", f"dev server at http://127.0.0.1:{taken}"))
    made.decide_frontend(FRONTEND, asked=False)
    assert made.frontend is None
    assert made.environment == {}
    assert any("runs already" in note for note in made.notes)


def test_where_django_answers_all_a_frontend_must_be_asked_for(decided):
    made = decided(("/", "Django at http://127.0.0.1:8000"))
    made.decide_frontend(FRONTEND, asked=False)
    assert made.frontend is None
    made.decide_frontend(FRONTEND, asked=True)
    assert made.frontend is FRONTEND
    assert "/logout/" in made.environment["GATEPOST_DJANGO__PATHS"].split(",")


FOR_TEMPLATES = replace(FRONTEND, base="/static/", has_pages=False)


def test_a_dev_server_for_templates_is_started_where_its_route_leads(decided):
    free = ports.any_free("127.0.0.1")
    made = decided(("/static/", f"upstream at http://127.0.0.1:{free}"), ("/", "Django at x"))
    made.decide_frontend(FOR_TEMPLATES, asked=False)
    assert made.frontend is FOR_TEMPLATES
    assert made.frontend_port == free
    assert made.environment == {}  # Django goes on to answer the pages.


def test_a_dev_server_for_templates_without_a_route_is_a_hint(decided):
    made = decided(("/", "Django at http://127.0.0.1:8000"))
    made.decide_frontend(FOR_TEMPLATES, asked=True)
    assert made.frontend is None
    assert any('"/static/"' in note for note in made.notes)


def test_a_dev_server_that_pages_call_by_its_address_takes_no_path(decided):
    beside = replace(FRONTEND, has_pages=False)
    made = decided(("/", "Django at http://127.0.0.1:8000"))
    made.decide_frontend(beside, asked=False)
    assert made.frontend is None
    made.decide_frontend(beside, asked=True)
    assert made.frontend is beside
    assert made.frontend_port == beside.port
    assert made.environment == {}


def test_a_dev_server_gets_no_port_that_the_gateway_is_about_to_take(decided, monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda host, port: True)
    rows = [
        ("https", "127.0.0.1:5173, [::1]:5173"),
        ("http", "127.0.0.1:5174, redirects to https"),
        ("internal", "127.0.0.1:5175"),
        ("/", "Django at http://127.0.0.1:8000"),
    ]
    made = decided(*rows)
    made.django = "127.0.0.1:5176"
    made.decide_frontend(FRONTEND, asked=True)
    assert made.frontend_port == 5177


def test_where_pages_expect_it_at_the_redirects_port_that_gives_way(decided):
    made = decided(("http", f"127.0.0.1:{FRONTEND.port}, redirects to https"))
    made.decide_frontend(replace(FRONTEND, has_pages=False), asked=True)
    assert made.environment == {"GATEPOST_SERVER__HTTP": ""}
    assert any("plain http is not redirected" in note for note in made.notes)


def test_paths_of_djangos_that_the_file_does_not_know_are_said(decided, monkeypatch):
    monkeypatch.setattr(
        "gatepost.program.draft.paths", lambda _: ["/admin/", "/new/", "/static/shop/"]
    )
    dev_server = ("/", f"dev server at http://127.0.0.1:{ports.any_free('127.0.0.1')}")
    made = decided(("/admin/", "Django at x"), ("/static/", "Django at x"), dev_server)
    made.decide_frontend(FRONTEND, asked=False)
    (note,) = made.notes
    assert note.startswith("/new/ of Django's go to the frontend")


@pytest.mark.parametrize(
    ("answer", "noted"),
    [
        (("/", "Django at http://127.0.0.1:8000"), "WebSockets at /ws/chat/ lead nowhere"),
        (("/ws/", "upstream at http://127.0.0.1:8000"), None),
        (("/ws/chat/", "upstream at http://127.0.0.1:9"), "but Django is at 127.0.0.1:8000"),
        (("/ws/chat/", "WebSocket, sessions judged by Django at x"), None),
    ],
)
def test_websockets_of_the_projects_own_that_lead_nowhere_are_said(
    decided, monkeypatch, answer, noted
):
    monkeypatch.setattr("gatepost.program.asgi_routes.prefixes", lambda: ["/ws/chat/"])
    monkeypatch.setattr("gatepost.program.asgi_routes.is_served_by_runserver", lambda: True)
    made = decided(answer)
    made.report_websocket_routes()
    assert [noted in note for note in made.notes] == ([True] if noted else [])


def test_what_the_gateway_refuses_is_said(decided, tmp_path):
    made = decided()
    made.binary.write_text("#!/bin/sh\necho gateway.toml:1:2: no >&2\nexit 2\n")
    with pytest.raises(plan.PlanError, match=r"gateway\.toml:1:2: no"):
        made.effective()


# What answers while Django does not start


@pytest.fixture
def stand_in(settings):
    settings.DEBUG = True
    made = standin.StandIn(f"0.0.0.0:{ports.any_free('127.0.0.1')}")
    yield made
    made.leave()


def asked(stand_in, method="GET", body=None, **headers):
    connection = HTTPConnection(stand_in._host, stand_in._port, timeout=10)
    try:
        connection.request(method, "/any/", body=body, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_a_page_shows_what_django_wrote_last(stand_in):
    wrote = "\n".join(f"line {number}" for number in range(100))
    assert stand_in.take(f"{wrote}\r\n\x1b[35mSyntaxError\x1b[0m: <b> & é\n".encode())
    answer, page = asked(stand_in, Accept="text/html,*/*")
    assert answer.status == 503  # an outage, by which no session is judged
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Django does not start" in page
    assert "line 99\nSyntaxError: &lt;b&gt; &amp; é</pre>" in page
    assert "line 50\n" not in page


def test_a_program_gets_json(stand_in):
    stand_in.take(b"SyntaxError: invalid\n")
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer, text = asked(stand_in, method, b"x" * 100_000)
        assert answer.headers["Content-Type"] == "application/problem+json"
        said = json.loads(text)
        assert (said["code"], said["hint"]) == ("django_does_not_start", "SyntaxError: invalid")
    assert asked(stand_in, "HEAD")[1] == ""


def test_without_debug_it_only_says_where_to_look(stand_in, settings):
    settings.DEBUG = False
    stand_in.take(b"SECRET\n")
    _, text = asked(stand_in)
    assert "SECRET" not in text
    assert "terminal" in text


def test_it_frees_the_port_and_takes_no_other_ones(stand_in):
    stand_in.take(b"")
    assert ports.listens("127.0.0.1", stand_in._port)
    other = standin.StandIn(f"127.0.0.1:{stand_in._port}")
    assert not other.take(b"")
    stand_in.leave()
    assert ports.is_free("127.0.0.1", stand_in._port)


def test_a_file_that_is_mended_while_django_ends_is_not_overlooked(monkeypatch):
    said = []
    terminal = SimpleNamespace(say=said.append)
    server = runserver.Runserver("127.0.0.1:1", [], terminal)
    monkeypatch.setattr(server._stand_in, "take", lambda written: True)
    monkeypatch.setattr(runserver, "_files", lambda: {"settings.py": 2.0})
    monkeypatch.setattr(runserver.time, "sleep", lambda seconds: pytest.fail("it waits"))
    assert server._wait_for_change({"settings.py": 1.0})
    assert "started again when a file changes" in said[0]
