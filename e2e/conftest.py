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


#: What one process is busy with longest begins first, so that none is left with it at the end.
LONGEST = ["test_docs", "test_demo", "test_outbox", "test_slow_clients", "test_conformance"]


def pytest_collection_modifyitems(items):
    """Tests that share something of their module stay together, whichever process runs them.

    All others go to the process that is free first (`--dist=loadgroup`).
    """
    names = [*LONGEST, None]
    items.sort(key=lambda item: names.index(item.path.stem if item.path.stem in names else None))
    for item in items:
        if not item.get_closest_marker("xdist_group") and (shared := shared_with(item)):
            item.add_marker(pytest.mark.xdist_group(shared))


def shared_with(item):
    """What a test shares with others of its module: the fixtures, and which of their variants."""
    found = item._fixtureinfo.name2fixturedefs.items()
    fixtures = [name for name, (*_, nearest) in found if nearest.scope == "module"]
    variants = item.callspec.indices if hasattr(item, "callspec") else {}
    chosen = [str(variants[name]) for name in fixtures if name in variants]
    return "-".join([item.path.stem, *chosen]) if fixtures else None


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
def made_once(tmp_path_factory):
    """Makes something in a folder, once for all processes that run tests side by side."""
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The folder of this run; each process has one of its own in it.
        common = common.parent

    def once(name, make):
        folder, done = common / name, common / f"{name}.done"
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def wheel(made_once):
    """The wheel of this tree."""
    return next(made_once("wheel", build_wheel).glob("*.whl"))


@pytest.fixture(scope="session")
def environment(wheel, made_once):
    """A virtual environment with the wheel in it, and what that depends on."""
    return made_once("environment", lambda folder: install(wheel, folder))


@pytest.fixture(scope="session")
def stock_project(environment, made_once):
    """The folder of a fresh project with the four lines; copied, never used itself."""
    return made_once("stock", lambda folder: make_project(environment, folder))


@pytest.fixture
def project(environment, stock_project, tmp_path):
    """A fresh project of the test's own."""
    folder = shutil.copytree(stock_project, tmp_path / "project")
    made = FreshProject(environment, folder)
    yield made
    made.stop()
