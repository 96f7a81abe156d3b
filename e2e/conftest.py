"""Sites and the browser driver."""

import fcntl
import os
import shutil
import signal

import pytest
from playwright.sync_api import sync_playwright

from harness.fresh import FreshProject, build_wheel, install, make_project
from harness.site import Site

# In the background (`make test &`) a shell has SIGINT ignored, which every child would inherit; one
# that is handled here is back at its default in a child.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def playwright():
    """The driver; it starts Debian's Chromium, never a browser of its own."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    """One site for all tests of a module; what they do must not get in each other's way."""
    running = Site(tmp_path_factory.mktemp("site"), playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def start_site(tmp_path, playwright):
    """Starts a site for one test, which may stop parts of it."""
    started = []

    def start(**options):
        started.append(Site(tmp_path, playwright, **options))
        return started[-1].start()

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def visitor(site):
    """Makes people with cookies of their own; their tabs are closed with the test."""
    contexts = []

    def make():
        contexts.append(site.browser.visitor())
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this tree, built once for all processes that run tests side by side."""
    folder = tmp_path_factory.mktemp("wheel")
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The folder of this run; each process has one of its own in it.
        folder = folder.parent.parent / "wheel"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return next(folder.glob("*.whl"), None) or build_wheel(folder)


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """A virtual environment with the wheel in it, and what that depends on."""
    return install(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def stock_project(environment, tmp_path_factory):
    """The folder of a fresh project with the four lines; copied, never used itself."""
    return make_project(environment, tmp_path_factory.mktemp("stock"))


@pytest.fixture
def project(environment, stock_project, tmp_path):
    """A fresh project of the test's own."""
    folder = shutil.copytree(stock_project, tmp_path / "project")
    made = FreshProject(environment, folder)
    yield made
    made.stop()
