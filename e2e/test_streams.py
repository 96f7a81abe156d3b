"""Streams: real Chromium with what people use there, and a Django that is done at once."""

import contextlib
import http.client
import json
import subprocess
import sys

import pytest

from harness.browser import log_in
from harness.one_worker import OneWorker
from harness.process import Process
from harness.site import DEMO, ROOT, SOCKET, Site

ESBUILD = DEMO / "frontend" / "node_modules" / ".bin" / "esbuild"
PACKAGES = ROOT / "e2e" / "frontend" / "node_modules"
DATASTAR = PACKAGES / "@starfederation" / "datastar" / "dist" / "bundles" / "datastar.js"


def say(site, job, value, **options):
    """Lets a job say something."""
    body = json.dumps({"value": value, **options})
    with contextlib.closing(connection(site)) as client:
        client.request("POST", f"/api/jobs/{job}/say/", body, {"Content-Type": "application/json"})
        assert client.getresponse().status == 200


def connection(site):
    """A client of its own."""
    return http.client.HTTPSConnection("localhost", site.https_port, context=site.tls(), timeout=20)


class Stream:
    """A response that goes on."""

    def __init__(self, site, path, accept="text/event-stream", **fields):
        self._client = connection(site)
        self._client.request("GET", path, headers={"Accept": accept, **fields})
        self.answer = self._client.getresponse()

    def until(self, line):
        """Reads to a line, and returns all lines."""
        lines = []
        while True:
            read = self.answer.readline()
            assert read, f"{line!r} never came, but {lines}"
            lines.append(read.decode().rstrip("\n"))
            if lines[-1] == line:
                return lines

    def close(self):
        """Leaves."""
        self._client.close()


class Gunicorn(Site):
    """gunicorn with threads, the usual."""


class Sync(OneWorker):
    """gunicorn with one worker, which does one thing at a time."""


class Uvicorn(Site):
    """The same project under ASGI."""

    def start_django(self, **environment):
        command = [sys.executable, "-m", "uvicorn", "probes.asgi:application"]
        command += ["--host", "127.0.0.1", "--port", str(self.django_port)]
        environment = self._django_environment() | environment
        self.django = Process("uvicorn", command, self.backend, environment)
        self.django.wait_for_line(lambda line: "running on" in line, "uvicorn listens")


class RunServer(Site):
    """Django's own server."""

    def start_django(self, **environment):
        command = [sys.executable, "-u", "manage.py", "runserver", "--noreload"]
        command += [f"127.0.0.1:{self.django_port}"]
        environment = self._django_environment() | {"DEMO_DEBUG": "1"} | environment
        self.django = Process("runserver", command, self.backend, environment)
        self.django.wait_for_line(lambda line: "Quit the server" in line, "runserver listens")


@pytest.fixture(params=[Gunicorn, Sync, Uvicorn, RunServer], ids=lambda kind: kind.__name__)
def any_site(request, tmp_path, playwright):
    """A site for each way in which Django is run."""
    running = request.param(tmp_path, playwright)
    try:
        yield running.start()
    finally:
        running.stop()


def test_a_view_is_done_and_its_response_goes_on(any_site):
    streams = [Stream(any_site, "/api/jobs/7/events/?a=%20b") for _ in range(5)]
    for stream in streams:
        assert stream.answer.status == 200
        assert stream.answer.headers["Content-Type"] == "text/event-stream"
        assert "data: <b>0</b>" in stream.until("data: ")
    say(any_site, "7", 50)
    for stream in streams:
        lines = stream.until("data: <b>50</b>")
        assert any(line.startswith("id: ") for line in lines)
    lines = Stream(any_site, "/api/jobs/7/events/", accept="application/x-ndjson")
    assert lines.answer.headers["Content-Type"] == "application/x-ndjson"
    assert lines.until('{"event":"progress","text":"<b>0</b>\\n"}')
    say(any_site, "7", 100, end=True)
    for stream in streams:
        stream.until('data: {"code":1000,"reason":"end"}')
        assert stream.answer.read() == b"\n"
    lines.answer.readline()
    assert lines.answer.readline().startswith(b'{"control":"close"')
    assert lines.answer.readline() == b""


def test_a_worker_that_does_one_thing_at_a_time_answers_pages_beside_many_streams(
    tmp_path, playwright
):
    site = Sync(tmp_path, playwright)
    try:
        site.start()
        streams = [Stream(site, "/api/jobs/7/events/") for _ in range(100)]
        for _ in range(5):
            status, took = site.page()
            assert status == 200, took
        say(site, "7", 1)
        for stream in streams:
            stream.until("data: <b>1</b>")
    finally:
        site.stop()


@pytest.fixture(scope="module")
def page_of(site):
    """Opens a page that listens to a job."""

    def open_page(visitor, job, client):
        page = visitor.new_page()
        page.goto(f"{site.origin}/api/jobs/{job}/{client}/")
        page.wait_for_selector("#progress b:text-is('0')")
        return page

    return open_page


def test_a_browsers_event_source_hears_and_stops(site, visitor, page_of):
    page = page_of(visitor(), "plain", "plain")
    for value in (1, 2):
        say(site, "plain", value)
        page.wait_for_selector(f"#progress b:text-is('{value}')")
    say(site, "plain", 3, end=True)
    page.wait_for_selector("#progress b:text-is('3')")
    page.wait_for_function("document.querySelector('#over').textContent.includes('1000')")
    assert page.evaluate("window.opened") == 1


def test_a_browser_that_comes_back_to_a_view_misses_nothing_and_gets_nothing_twice(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/api/jobs/brief/plain/")
    page.evaluate("""
        window.got = [];
        window.began = 0;
        const brief = new EventSource("../brief/");
        brief.onopen = () => { window.began += 1; };
        brief.addEventListener("progress", (event) => got.push(parseInt(event.data.slice(3))));
        brief.addEventListener("close", () => brief.close());
    """)
    page.wait_for_function("window.began === 1")
    for part in range(4):
        # Some while it is there, some while it is not, and fewer than the history has.
        for n in range(20):
            say(site, "brief", 20 * part + n)
        page.wait_for_function("part => window.began > part + 1", arg=part)
    say(site, "brief", 80, end=True)
    page.wait_for_function("got.at(-1) === 80")
    assert page.evaluate("got") == list(range(81))


def test_htmx_swaps_what_a_job_says_and_closes(site, visitor, page_of):
    page = page_of(visitor(), "htmx", "htmx")
    say(site, "htmx", 1)
    page.wait_for_selector("#progress b:text-is('1')")
    say(site, "htmx", 2, end=True)
    page.wait_for_selector("#progress b:text-is('2')")
    page.wait_for_function("window.ends.includes('message')")


def test_htmx_without_sse_close_asks_the_view_again_when_a_job_is_over(site, visitor, page_of):
    page = page_of(visitor(), "open", "htmx-open")
    say(site, "open", 1, end=True)
    page.wait_for_selector("#progress b:text-is('1')")
    page.wait_for_selector("#progress b:text-is('0')")
    say(site, "open", 2)
    page.wait_for_selector("#progress b:text-is('2')")


def test_datastar_merges_what_a_job_says(site, visitor, page_of):
    # Its package is made for bundlers.
    bundled = f"--outfile={site.folder / 'static' / 'datastar.js'}"
    command = [ESBUILD, DATASTAR, "--bundle", "--format=esm", bundled]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    page = page_of(visitor(), "datastar", "datastar")
    for value in (1, 2):
        say(site, "datastar", value, client="datastar")
        page.wait_for_selector(f"#progress b:text-is('{value}')")


def test_a_logout_ends_streams_and_events_of_the_session(site, visitor):
    person = visitor()
    page = person.new_page()
    log_in(page, site.origin, "ann")
    cookies = {cookie["name"]: cookie["value"] for cookie in person.cookies()}
    line = "; ".join(f"{name}={value}" for name, value in cookies.items())
    handed_over = Stream(site, "/api/jobs/8/mine/", Cookie=line)
    events = Stream(site, SOCKET, Cookie=line)
    assert handed_over.answer.status == events.answer.status == 200
    handed_over.until('data: {"of":"ann"}')
    page.evaluate(
        "fetch('/accounts/logout/', {method: 'POST', headers: {'X-CSRFToken': "
        "document.cookie.match(/csrftoken=([^;]+)/)[1]}})"
    )
    for stream in (handed_over, events):
        stream.until("event: close")
        assert b"4001" in stream.answer.readline()
        assert stream.answer.read() == b"\n"


def test_a_browser_comes_back_by_itself_when_the_gateway_was_away(start_site):
    """The gateway ends; another one begins; the page, which did nothing, hears again."""
    site = start_site()
    with contextlib.closing(site.browser.visitor()) as person:
        page = person.new_page()
        page.goto(f"{site.origin}/api/jobs/back/plain/")
        page.wait_for_function("window.opened === 1")
        port = site.https_port
        site.restart_gateway()
        assert site.https_port == port
        page.wait_for_function("window.opened === 2")
        say(site, "back", 9)
        page.wait_for_selector("#progress b:text-is('9')")
