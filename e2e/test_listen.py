"""The JavaScript that the guides show, in real Chromium: it never stands in the way of a logout.

It is on every page here, login pages included, as in a site's base template. A logout is also tried
from a page with the three lines that many a page has: those must not cut it off either.
"""

import re
from itertools import pairwise

import pytest

from harness.guide import DOCS
from harness.stock import StockSite
from harness.wait import wait_until

SNIPPET = (DOCS / "listen.js").read_text()
DOCUMENTED = SNIPPET + "listen(() => { window.heard = true; });"
#: What a page without second thoughts does. On every page it would go on to log in for ever.
NAIVE = """{
  const ws = new WebSocket(`wss://${location.host}/ws/notifications/`);
  ws.onopen = () => { window.heard = true; };
  ws.onclose = (event) => { if (event.code === 4001) location.href = "/admin/login/"; };
}"""
LOGIN = re.compile(r"/admin/login/\?next=%2Fpage%2F$")


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    """A stock site with the package: its logout rides on the response, and deletes the cookie."""
    running = StockSite(tmp_path_factory.mktemp("stock"), playwright, package=True)
    yield running.start()
    running.stop()


@pytest.fixture
def visitor(site):
    """Makes people with a script on every page."""
    made = []

    def make(script=DOCUMENTED):
        made.append(site.browser.visitor())
        made[-1].add_init_script(f"if (location.protocol === 'https:') {{ {script} }}")
        return made[-1]

    yield make
    for context in made:
        context.close()


def logged_in(site, person):
    """A tab of somebody who has just logged in."""
    page = person.new_page()
    site.log_in(page, "ann")
    return page


def listening(page, path, script=None):
    """Goes to a page whose script, its own or this one, has its socket open."""
    page.goto(path)
    if script:
        page.add_script_tag(content=script)
    page.wait_for_function("window.heard")


def with_one_socket(site, person):
    """A tab of somebody who is logged in, and its only socket."""
    logged_in(site, person)
    page = person.new_page()
    with page.expect_websocket() as opened:
        listening(page, f"{site.origin}/bye/")
    return page, opened.value


def wait_for_close(page, socket):
    """Waits until a page's socket is closed, and the page has been told."""
    wait_until(lambda: page.wait_for_timeout(20) or socket.is_closed(), "the socket is closed")
    page.evaluate("0")


def visited(page):
    """Where a page goes from now on."""
    urls = []
    page.on("framenavigated", lambda frame: urls.append(frame.url))
    return urls


def log_out_by_form(site, page, script=None):
    """The admin's own button, which posts."""
    listening(page, f"{site.origin}/admin/", script)
    page.click("#logout-form button")


def log_out_by_link(site, page, script=None):
    """A link to a view that redirects."""
    listening(page, f"{site.origin}/page/", script)
    page.evaluate("location.href = '/leave/'")


def log_out_by_fetch(site, page, script=None):
    """A script that goes on when it has the answer."""
    listening(page, f"{site.origin}/page/", script)
    page.evaluate("fetch('/leave/').then(() => { location.href = '/bye/'; })")


WAYS = {
    log_out_by_form: "Logged out",
    log_out_by_link: "You have left",
    log_out_by_fetch: "You have left",
}


@pytest.mark.parametrize("script", [DOCUMENTED, NAIVE], ids=["documented", "naive"])
@pytest.mark.parametrize("log_out", WAYS, ids=lambda way: way.__name__)
def test_who_logs_out_sees_the_page_that_says_so(site, visitor, log_out, script):
    everywhere, here = (script, None) if script == DOCUMENTED else ("", script)
    page = logged_in(site, visitor(everywhere))
    urls = visited(page)

    log_out(site, page, here)

    page.get_by_text(WAYS[log_out]).first.wait_for()
    assert not [url for url in urls if "login" in url], urls


def test_the_other_tabs_go_to_the_login_page_and_know_the_way_back(site, visitor):
    person = visitor()
    page, other = logged_in(site, person), person.new_page()
    listening(other, f"{site.origin}/page/")

    log_out_by_form(site, page)

    other.wait_for_url(LOGIN)
    page.get_by_text("Logged out").first.wait_for()


def test_a_page_that_stays_where_it_is_goes_to_the_login_page(site, visitor):
    page = logged_in(site, visitor())
    listening(page, f"{site.origin}/page/")

    page.evaluate("fetch('/leave/', { redirect: 'manual' })")

    page.wait_for_url(LOGIN)


def minutes_later(page):
    """Lets two minutes pass in a page whose clock was taken over, second by second."""
    for _ in range(60):
        page.clock.run_for(2000)


@pytest.mark.parametrize("path", ["/page/", "/admin/login/", "/login/"])
def test_nothing_happens_to_who_is_not_logged_in(site, visitor, path):
    page = visitor().new_page()
    page.clock.install()
    with page.expect_websocket() as opened:
        page.goto(f"{site.origin}{path}")
    wait_for_close(page, opened.value)
    urls, sockets = visited(page), []
    page.on("websocket", lambda socket: sockets.append(socket.url))

    minutes_later(page)

    assert (urls, sockets) == ([], [])


def test_a_login_page_stays_where_it_is(site, visitor):
    page, socket = with_one_socket(site, visitor())
    # One that is shown to people who are logged in, too.
    page.evaluate("history.replaceState(null, '', '/admin/login/')")
    page.clock.install()
    urls = visited(page)

    page.evaluate("fetch('/leave/', { redirect: 'manual' })")
    wait_for_close(page, socket)
    minutes_later(page)

    assert urls == []


def test_a_page_that_is_not_left_after_all_goes_to_the_login_page_later(site, visitor):
    page, socket = with_one_socket(site, visitor())
    page.clock.install()

    # As a link to a download does.
    page.evaluate("dispatchEvent(new Event('beforeunload'))")
    page.evaluate("fetch('/leave/', { redirect: 'manual' })")
    wait_for_close(page, socket)
    page.clock.run_for(5_000)
    assert page.url == f"{site.origin}/bye/"
    page.clock.run_for(10_000)

    page.wait_for_url(re.compile("/admin/login/"))


def refused(site, page, code, reason=""):
    """When a page connects whose sockets are always closed so, in seconds of its own time."""
    times = []

    def refuse(socket):
        times.append(page.evaluate("Date.now()") / 1000)
        socket.close(code=code, reason=reason)

    page.route_web_socket("**/ws/notifications/", refuse)
    page.goto(f"{site.origin}/bye/")
    page.clock.install()
    page.add_script_tag(content=DOCUMENTED)
    minutes_later(page)
    return times


@pytest.mark.parametrize("code", [1006, 1013])
def test_it_comes_back_less_and_less_often(site, visitor, code):
    times = refused(site, visitor("").new_page(), code)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert 1 <= waits[0] <= 5
    assert 2 <= len(waits) <= 7, waits
    assert max(waits) >= 16


def test_it_stays_away_as_long_as_a_gateway_that_goes_away_says(site, visitor):
    times = refused(site, visitor("").new_page(), 1001, "20000")
    assert 20 <= times[1] - times[0] <= 45


@pytest.mark.parametrize("code", [1008, 1011, 4000])
def test_it_does_not_come_back_where_that_cannot_help(site, visitor, code):
    assert len(refused(site, visitor("").new_page(), code)) == 1
