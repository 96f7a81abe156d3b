"""`gatepost run -- …` with the servers that Django is run by."""

import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.one_process import GRANIAN, GUNICORN, SERVERS, OneProcess, children, only_child
from harness.wait import wait_until

PAGE = "/accounts/login/"
ENDS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
ALONE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def start(tmp_path, playwright):
    started = []

    def begin(server, starter=()):
        started.append(OneProcess(tmp_path, playwright, server))
        started[-1].starter = starter
        return started[-1].start()

    yield begin
    for site in started:
        site.stop()


def client(site):
    return httpx.Client(base_url=site.origin, verify=site.tls(), timeout=30)


def status(site):
    with client(site) as browser:
        return browser.get(PAGE).status_code


@pytest.mark.parametrize("ending", ENDS)
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_serves_and_ends_well_with_the_gateway(name, ending, start):
    site = start(SERVERS[name])
    assert status(site) == 200
    site.is_up()
    server = only_child(site.gateway.pid)

    # As Ctrl-C in a terminal, which signals the whole group.
    site.gateway.signal_group(ENDS[ending])

    assert site.gateway.wait() == 0, site.gateway.output()
    assert not os.path.exists(f"/proc/{server}")
    assert not re.search("Traceback", site.gateway.output()), site.gateway.output()


def test_its_lines_are_told_apart_from_the_gateways(start):
    site = start(GUNICORN)
    site.is_up()

    listening = [line for line in site.gateway.lines if "Listening at: unix:" in line]

    assert len(listening) == 1, site.gateway.output()
    assert '"target":"app"' in listening[0]


def test_how_many_requests_gunicorn_can_do_at_once_is_known_by_itself(start):
    site = start(GUNICORN)
    transport = httpx.HTTPTransport(uds=str(site.folder / "i.sock"))

    with httpx.Client(transport=transport) as internal:
        ready = internal.get("http://localhost/ready").json()

    assert ready["queue"]["concurrency"] == 8


@pytest.mark.parametrize("server", [GUNICORN, GRANIAN], ids=["gunicorn", "granian"])
def test_workers_are_restarted_at_sighup_and_no_request_fails(server, start):
    site = start(server)
    site.is_up()
    answers, done = [], threading.Event()

    def ask():
        with client(site) as browser:
            while not done.is_set():
                answers.append(browser.get(PAGE).status_code)

    with ThreadPoolExecutor() as pool:
        people = [pool.submit(ask) for _ in range(4)]
        try:
            for _ in range(2):
                reload(site, answers)
        finally:
            done.set()
    for person in people:
        person.result()  # Raises what went wrong.

    assert set(answers) == {200}
    # Workers that left in the middle have left no connection behind that the end would wait for.
    site.gateway.signal(signal.SIGTERM)
    assert site.gateway.wait() == 0
    assert "is over, what was left is cut off" not in site.gateway.output()


def reload(site, answers):
    """Has the workers restarted, and waits until the new ones have answered."""
    before = workers(site)
    site.gateway.signal(signal.SIGHUP)
    wait_until(lambda: not before & workers(site) and workers(site), "other workers")
    asked = len(answers)
    wait_until(lambda: len(answers) >= asked + 40, "they answer")


def workers(site):
    """The processes that Django runs in."""
    return {
        pid
        for pid, state in children(only_child(site.gateway.pid)).items()
        if state != "Z" and "resource_tracker" not in command_of(pid)
    }


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def test_a_server_that_is_killed_comes_back_and_requests_wait(start):
    site = start(GUNICORN)
    site.is_up()
    server = only_child(site.gateway.pid)

    os.kill(server, signal.SIGKILL)

    assert status(site) == 200
    assert only_child(site.gateway.pid) != server


def test_a_project_that_cannot_be_loaded_fails_where_it_is_started(tmp_path, playwright):
    site = OneProcess(tmp_path, playwright, ("gunicorn", "demosite.nothing"))
    site.run()
    try:
        code = site.gateway.wait()
    finally:
        site.stop()

    assert code == 3, site.gateway.output()  # gunicorn's for workers that fail to boot
    assert "never accepted a connection" in site.gateway.output()
    assert "ModuleNotFoundError" in site.gateway.output()


def test_as_process_1_it_waits_for_orphans(start):
    if subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("nobody but root may make a namespace of processes here")
    orphan = "(sleep 0.2 &); exec gunicorn demosite.wsgi --bind unix:{socket}"
    site = start(("sh", "-c", orphan), ALONE)
    site.is_up()
    first = only_child(site.gateway.pid)
    assert status(site) == 200

    wait_until(lambda: len(children(first)) == 1, "the orphan is gone, and no zombie is left")
    os.kill(first, signal.SIGTERM)

    assert site.gateway.wait() == 0, site.gateway.output()
