"""What is published while a page is on its way reaches it, however the page was kept.

Numbers are counted up and published without a pause. A page shows the number that it was made with,
and gets every later one by its socket, which opens with the page's position; or it is told that
something is missing.
"""

import threading

import httpx
import pytest

from harness.stock import StockSite
from harness.wait import wait_until

#: Fewer than `delivery.history`: whatever is missing is missing for nothing.
WITHIN_HISTORY = 80


class Publisher:
    """Counts up, in a thread of its own, until it has published so much or is told to stop."""

    def __init__(self, site, most):
        self.last = 0
        self._most = most
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self.last, "something is published")
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        with httpx.Client(base_url=self._site.origin, verify=self._site.tls()) as client:
            for _ in range(self._most):
                if self._stop.is_set():
                    return
                self.last = int(client.get("/seam/bump/").raise_for_status().text)


@pytest.fixture(scope="module", params=["", "site", "conditional"])
def site(request, tmp_path_factory, playwright):
    """A site without a cache, with the one for whole sites, and with conditional answers."""
    folder = tmp_path_factory.mktemp("seam")
    running = StockSite(folder, playwright, package=True, cache=request.param).start()
    yield running
    running.stop()


@pytest.fixture
def person(site):
    """Somebody who is logged in."""
    someone = site.browser.visitor()
    site.log_in(someone.new_page(), "ann")
    yield someone
    someone.close()


def complete(page, last):
    """Waits until a page has the last number; returns what it missed."""
    page.wait_for_function(
        "last => window.got?.some(one => one.n === last || one.gatepost === 'resync')"
        " || Number(document.querySelector('#count').textContent) >= last",
        arg=last,
    )
    got = page.evaluate("window.got")
    if {"gatepost": "resync"} in got:
        return None
    shown = int(page.locator("#count").text_content())
    numbers = [one["n"] for one in got]
    assert numbers == sorted(set(numbers)), "each once, in order"
    return set(range(shown + 1, last + 1)) - set(numbers)


@pytest.mark.parametrize("path", ["plain", "view", "fragment"])
def test_a_page_misses_nothing_however_django_kept_it(site, person, path):
    pages = []
    for _ in range(5):
        pages.append(person.new_page())
        with Publisher(site, WITHIN_HISTORY // 5) as publisher:
            pages[-1].goto(f"{site.origin}/seam/{path}/")
            # Asked for once more: from the browser's cache, by a 304, or anew.
            pages[-1].goto(f"{site.origin}/seam/{path}/")
    missed = [complete(page, publisher.last) for page in pages]
    assert missed == [set()] * 5


def test_the_back_button_brings_a_page_that_is_up_to_date(site, person):
    page = person.new_page()
    page.goto(f"{site.origin}/seam/plain/?back")
    page.goto(f"{site.origin}/bye/")
    with Publisher(site, WITHIN_HISTORY) as publisher:
        page.go_back()
        page.wait_for_selector("#count")
    assert complete(page, publisher.last) == set()


def test_a_page_that_another_worker_made_long_ago_misses_nothing_or_is_told(site, person):
    page = person.new_page()
    with httpx.Client(base_url=site.origin, verify=site.tls()) as client:
        old = client.get("/seam/plain/?old").raise_for_status().text
        for more, expected in [(WITHIN_HISTORY, set()), (WITHIN_HISTORY, None)]:
            for _ in range(more):
                last = int(client.get("/seam/bump/").raise_for_status().text)
            page.goto(f"{site.origin}/bye/")
            page.set_content(old)
            assert complete(page, last) == expected
