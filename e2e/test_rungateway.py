"""`manage.py rungateway`: everything at once, through reloads and mistakes, until one Ctrl-C."""

import contextlib
import json
import os
import pty
import re
import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from harness.fresh import frame
from harness.site import VITE
from harness.wait import free_port, wait_until

#: The system chooses the ports, as everywhere in these tests.
CONFIG = """
[server]
https = "127.0.0.1:0"
http = ""
lan = false

[[sockets]]
path = "/ws/notifications/"
"""

VIEW = """
from django.http import HttpResponse
urlpatterns += [path("version/", lambda request: HttpResponse("version {version}"))]
"""


@pytest.fixture
def project(project):
    """A fresh project with a gateway.toml."""
    (project.folder / "gateway.toml").write_text(CONFIG)
    project.variables = {
        "GATEPOST_URL": f"http://127.0.0.1:{free_port()}",
    }
    return project


def start(project, *arguments, patience=30):
    """The running command and the one URL that it printed."""
    command = [project.bin / "python", "manage.py", "rungateway", "127.0.0.1:0", *arguments]
    running = project.start("rungateway", *command)
    url = running.wait_for_line(
        lambda line: (match := re.fullmatch(r"  (https://\S+)/", line)) and match[1],
        "the URL",
        patience,
    )
    return running, url


def family(pid):
    """A process and everything that it started, by process id, as far as it lives."""
    found = {pid}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[1]) == pid:
                found |= family(int(path.parent.name))
    return found


def lives(pid):
    """Whether a process is there and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def named(pids, name):
    """Those of some processes whose command line begins with a program of this name."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
            if os.path.basename(program.decode()) == name:
                found.append(pid)
    return found


def all_gone(pids):
    """Waits until none of the processes lives."""
    wait_until(lambda: not any(map(lives, pids)), "every process has ended")


def test_sockets_stay_open_while_django_reloads(project):
    running, url = start(project)
    browser = project.log_in(url)
    urls = project.folder / "site_of_ann" / "urls.py"
    sound = urls.read_text()

    with project.open_socket(browser, url) as socket:
        urls.write_text(sound + VIEW.format(version=1))
        wait_until(lambda: browser.get("/version/").text == "version 1", "the new code answers")

        # A mistake ends neither Django's reloader nor anything else, and pages say what it is.
        # Django's watcher overlooks a change that comes before its first look at the file.
        mistaken = sound + "\nthis is no Python\n"
        said = wait_for_page(
            browser, 503, saying="SyntaxError", before=lambda: urls.write_text(mistaken)
        )
        assert "Django does not start" in said
        wait_until(
            lambda: (
                urls.write_text(sound + VIEW.format(version=2))
                and browser.get("/version/").text == "version 2"
            ),
            "the mended code answers",
        )

        # Nor does one in the settings, which ends the reloader.
        settings = project.folder / "site_of_ann" / "settings.py"
        sound = settings.read_text()
        settings.write_text(sound + "\nDEBUG = undefined\n")
        wait_for_page(browser, 503, saying="NameError: name &#x27;undefined")
        running.wait_for_line(lambda line: "Django has ended" in line, "it is said")
        settings.write_text(sound)
        wait_for_page(browser, 200)

        # Other terminals know nothing but the project's folder.
        project.variables = {}
        assert "wrong" not in project.manage("gateway_check")
        project.manage("gateway_publish", "username:ann", '{"n": 1}')
        assert frame(socket) == {"n": 1}
        socket.send('{"type":"ping"}')
        assert frame(socket) == {"type": "pong"}
    running.signal(signal.SIGINT)
    assert running.wait() == 0
    assert not (project.folder / ".gatepost" / "rungateway.json").exists()


def wait_for_page(browser, status, saying="", before=lambda: None):
    """The next page that is answered so and says this; none may be held back for long meanwhile.

    A page that says why Django does not start comes as soon as it is known that it does not, which
    can be before the last line of a traceback; it loads itself again.

    `before` each try something can be done again.
    """
    found = []

    def comes():
        before()
        answer = browser.get("/version/", headers={"Accept": "text/html"}, timeout=10)
        found[:] = [answer.text]
        return answer.status_code == status and saying in answer.text

    wait_until(comes, f"a page with {status}")
    return found[0]


def test_one_url_is_shown_and_each_line_has_a_name(project):
    running, url = start(project)
    project.log_in(url)
    running.wait_for_line(lambda line: "django | " in line and "POST /admin/login" in line, "log")

    # The origin, and no other address that a browser could be taken to.
    shown = {match for line in running.lines for match in re.findall(r"https?://[^\s\"]+", line)}
    own = [line for line in running.lines if " | " not in line]
    assert f"  {url}/" in own
    assert "Starting development server" not in running.output()
    assert not any("http://" in line for line in own), own
    assert any(address.startswith(url) for address in shown)
    assert any(line.startswith("gatepost | ") and " ready " in line for line in running.lines)
    assert any(line.endswith("/certs/ca.pem") for line in own)


@pytest.mark.parametrize("whom", ["the whole group", "the command alone"])
def test_one_ctrl_c_ends_every_process(project, whom):
    running, url = start(project)
    browser = project.log_in(url)
    with project.open_socket(browser, url) as socket:
        everybody = family(running.pid)
        assert named(everybody, "gatepost")
        assert len(everybody) == 3  # with runserver's reloader and its child

        (running.signal_group if "group" in whom else running.signal)(signal.SIGINT)

        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
        assert socket.close_code == 1001  # It was told.
    assert running.wait() == 0
    all_gone(everybody)


def test_ctrl_c_typed_at_a_terminal_ends_every_process(project):
    """There Django writes in colour, and the keyboard is its own."""
    command = [project.bin / "python", "manage.py", "rungateway", "127.0.0.1:0"]
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(project.folder)
        os.execvpe(command[0], [str(part) for part in command], project.environment)
    said = b""
    while b"[y/N]" not in said:  # Somebody is there to be offered `gatepost trust`.
        said += os.read(terminal, 65536)
    os.write(terminal, b"n\n")
    while b"Ctrl-C stops everything" not in said:
        said += os.read(terminal, 65536)
    assert (project.folder / ".gatepost" / "trust").exists()  # It is not offered again.
    everybody = family(pid)
    assert len(everybody) == 3
    assert b"django | \x1b[0m" in said

    os.write(terminal, b"\x03")

    with contextlib.suppress(OSError):  # How a terminal says that nobody is left.
        while os.read(terminal, 65536):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    all_gone(everybody)
    os.close(terminal)


def test_a_service_managers_signal_ends_every_process(project):
    running, _ = start(project)
    everybody = family(running.pid)

    running.signal(signal.SIGTERM)

    assert running.wait() == 0
    all_gone(everybody)


def test_all_ends_when_the_gateway_dies(project):
    running, _ = start(project)
    everybody = family(running.pid)
    (gateway,) = named(everybody, "gatepost")

    os.kill(gateway, signal.SIGKILL)

    assert running.wait() == 1
    assert "gatepost ended by itself with signal SIGKILL" in running.output()
    all_gone(everybody)


def test_without_the_reloader_it_is_one_process_and_ends_as_well(project):
    running, url = start(project, "--noreload")
    everybody = family(running.pid)
    assert len(everybody) == 2
    assert project.log_in(url)

    running.signal_group(signal.SIGINT)

    assert running.wait() == 0
    all_gone(everybody)


def test_what_the_gateway_refuses_is_shown_and_nothing_is_started(project):
    (project.folder / "gateway.toml").write_text('[server]\nhttsp = "127.0.0.1:0"\n')
    running = project.start(
        "rungateway", project.bin / "python", "manage.py", "rungateway", "127.0.0.1:0"
    )
    assert running.wait() == 1
    assert "did you mean" in running.output().lower()
    assert "Traceback" not in running.output()
    assert "django |" not in running.output()


def test_a_taken_port_is_a_sentence(project):
    _, url = start(project)
    taken = url.rpartition(":")[2]
    command = [project.bin / "python", "manage.py", "rungateway", "127.0.0.1:0", "--port", taken]
    second = project.start("rungateway", *command)
    assert second.wait() == 1
    assert f"port {taken} is in use" in second.output()


def test_the_frontends_dev_server_is_found_and_ended_too(project):
    frontend = project.folder / "frontend"
    frontend.mkdir()
    (frontend / "index.html").write_text("<!doctype html><title>The frontend</title>")
    package = {"scripts": {"dev": "vite"}, "devDependencies": {"vite": "*"}}
    (frontend / "package.json").write_text(json.dumps(package))
    (frontend / "node_modules").symlink_to(VITE.parents[2])
    (project.folder / "gateway.toml").write_text(
        f'{CONFIG}\n[frontend]\nupstream = "http://127.0.0.1:{free_port()}"\n'
        '[django]\npaths = ["/admin/", "/static/"]\n'
    )
    running, url = start(project)
    browser = project.log_in(url)  # by Django

    wait_until(lambda: "The frontend" in browser.get("/").text, "the frontend answers the rest")
    everybody = family(running.pid)
    assert named(everybody, "node")
    running.signal_group(signal.SIGINT)

    assert running.wait() == 0
    all_gone(everybody)
