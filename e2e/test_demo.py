"""`make demo` as a newcomer runs it: one URL, two accounts, and nothing left behind."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from harness.browser import Browser, log_in, send, wait_for_title
from harness.process import Process
from harness.site import ROOT
from harness.wait import free_port, wait_until

#: All of them run the one demo of this tree.
pytestmark = pytest.mark.xdist_group("demo")

# The first run makes a virtual environment and may compile the gateway.
FIRST_RUN = 600.0


class Demo:
    """`make demo`, started like from a terminal: in a process group of its own."""

    def __init__(self, folder, *settings):
        places = [f"PORT={free_port()}", f"HTTP_PORT={free_port()}"]
        command = ["make", "--no-print-directory", "demo", *places, *settings]
        # The output of `make` itself must not depend on who runs these tests.
        self.process = Process("make demo", command, ROOT, {"MAKEFLAGS": "", "MAKELEVEL": ""})
        self.folder = folder

    def wait_for_url(self):
        """The one URL that it prints, and the CA file that it names."""
        ca = self.process.wait_for_line(
            lambda line: re.fullmatch(r"\s*(/.+\.pem)", line), "the CA file", FIRST_RUN
        )
        urls = re.findall(
            r"https://\S+", "\n".join(line for line in self.process.lines if " | " not in line)
        )
        assert len(urls) == 1, urls
        return urls[0].rstrip("/"), Path(ca[1])

    def descendants(self):
        """Every process below it: {pid: command line}."""
        parents = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            parents[int(status.parent.name)] = int(fields[1])
        family, grew = {self.process.pid}, True
        while grew:
            children = {pid for pid, parent in parents.items() if parent in family} - family
            family |= children
            grew = bool(children)
        return {pid: command_line(pid) for pid in family}


def command_line(pid):
    """The arguments of a process, or None where there is no such process (any more)."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            or None
        )
    except OSError:
        return None


def assert_all_gone(processes):
    def left():
        return {pid: line for pid, line in processes.items() if line and command_line(pid) == line}

    wait_until(lambda: not left(), "no process of the demo is left", patience=5)


@pytest.fixture
def demo(tmp_path):
    started = []

    def start(*settings):
        started.append(Demo(tmp_path, *settings))
        return started[-1]

    yield start
    for one in started:
        # Its children have groups of their own; an interrupt lets it stop them itself.
        if one.process.running():
            one.process.signal_group(signal.SIGINT)
            one.process.wait()


@pytest.mark.parametrize("settings", [[], ["DEV=1"]], ids=["gunicorn", "runserver and Vite"])
def test_one_command_shows_a_notification_and_ctrl_c_leaves_nothing_running(
    demo, settings, playwright, tmp_path
):
    running = demo(*settings)
    url, ca_file = running.wait_for_url()
    browser = Browser(playwright, tmp_path / "home", ca_file)
    ann, bob = browser.visitor().new_page(), browser.visitor().new_page()

    log_in(ann, url, "ann")
    log_in(bob, url, "bob")
    send(bob, "group:staff", "from the demo")
    wait_for_title(ann, "from the demo")
    has_vite = ann.evaluate(
        "fetch('/@vite/client').then(async (answer) => (await answer.text()).includes('HMR'))"
    )
    assert has_vite == bool(settings)
    processes = running.descendants()
    assert any("gatepost run" in str(line) for line in processes.values())

    running.process.signal_group(signal.SIGINT)

    ann.locator("#wire li.event").get_by_text("close 1001").wait_for()
    running.process.wait()
    assert_all_gone(processes)
    browser.close()


@pytest.mark.parametrize("settings", [[], ["DEV=1"]], ids=["gunicorn", "runserver and Vite"])
def test_the_page_of_an_order_shows_its_status_a_job_and_who_is_here(
    demo, settings, playwright, tmp_path
):
    url, ca_file = demo(*settings).wait_for_url()
    browser = Browser(playwright, tmp_path / "home", ca_file)
    ann, bob = browser.visitor().new_page(), browser.visitor().new_page()

    log_in(bob, url, "bob")
    bob.click("text=An order")
    wait_for_presence(bob, users=1, windows=1)
    wait_for_step(bob, "placed")
    assert bob.locator("#next").count() == 0
    log_in(ann, url, "ann")
    ann.goto(bob.url)
    for page in (ann, bob):
        wait_for_presence(page, users=2, windows=2)

    with bob.expect_response("**/progress/") as streamed:
        ann.click("#next:text-is('Pack it')")
    assert streamed.value.headers["content-type"] == "text/event-stream"
    bob.wait_for_function("() => { const p = packed.value; return p > 0 && p < 100; }")
    for page in (ann, bob):
        wait_for_step(page, "packed")
        page.wait_for_function("() => packed.value === 100")

    ann.goto(f"{url}/admin/shop/order/{bob.url.split('/')[-2]}/change/")
    wait_for_presence(bob, users=1, windows=1)
    ann.select_option("#id_status", "sent")
    ann.click("[name=_continue]")
    wait_for_step(bob, "sent")

    other = bob.context.new_page()
    other.goto(f"{url}/")
    other.click("#logout")
    bob.wait_for_url("**/accounts/login/?next=/orders/*/")
    browser.close()


def wait_for_presence(page, users, windows):
    page.wait_for_selector(f"#users:text-is('{users}')")
    page.wait_for_selector(f"#windows:text-is('{windows}')")


def wait_for_step(page, status):
    page.wait_for_selector(f"#step-{status}.current")


def test_when_one_part_ends_the_demo_says_which_and_stops_the_rest(demo):
    running = demo()
    running.wait_for_url()
    processes = running.descendants()
    # The master is gunicorn's process whose parent is run.py: the oldest of them.
    gunicorn = min(pid for pid, line in processes.items() if line and "gunicorn" in line)

    os.kill(gunicorn, signal.SIGTERM)

    assert running.process.wait() != 0
    assert "django ended by itself with exit code 0" in running.process.output()
    assert_all_gone(processes)


def test_a_busy_port_is_named_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        refused = Process(
            "make demo", ["make", "demo", f"PORT={taken}"], ROOT, {"MAKEFLAGS": "", "MAKELEVEL": ""}
        )
        assert refused.wait() != 0

    assert f"port {taken} on 127.0.0.1 is in use" in refused.output()
    assert f"make demo PORT={taken + 1000}" in refused.output()
