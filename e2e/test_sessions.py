"""Sockets follow Django's sessions, with a stock project and real browsers.

Each test runs with an auth view of the project's own and with the package. The interval of
re-validation is a minute, so whatever closes here within seconds is not its doing.
"""

import functools
import time

import pytest

from harness.browser import wait_for_socket
from harness.stock import PASSWORD, StockSite
from harness.wait import wait_until

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
NEW_PASSWORD = "a-new-battery-9"


@pytest.fixture
def start_stock(tmp_path, playwright):
    """Starts a stock site."""
    started = []

    def start(**options):
        started.append(StockSite(tmp_path, playwright, **options))
        return started[-1].start()

    yield start
    for site in started:
        site.stop()


@pytest.fixture(params=["own view", "package"])
def start(request, start_stock):
    """Starts a stock site of either kind."""
    return functools.partial(start_stock, package=request.param == "package")


def open_page(site, person):
    """A tab with an open socket."""
    page = person.new_page()
    page.goto(f"{site.origin}/page/")
    wait_for_socket(page, "open")
    return page


def logged_in(site, name, password=PASSWORD):
    """A person with one tab, whose socket is open."""
    person = site.browser.visitor()
    page = person.new_page()
    site.log_in(page, name, password)
    wait_for_socket(page, "open")
    return person, page


def logged_in_later(site, name):
    """Another device of a person. Signed cookies of one user and one second are one session."""
    before = int(time.time())
    wait_until(lambda: int(time.time()) > before, "the next second")
    return logged_in(site, name)


def change_password(site, page):
    """By the admin's own form, as a person does."""
    page.goto(f"{site.origin}/admin/password_change/")
    page.fill("#id_old_password", PASSWORD)
    page.fill("#id_new_password1", NEW_PASSWORD)
    page.fill("#id_new_password2", NEW_PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_url(f"{site.origin}/admin/password_change/done/")


def log_out(site, page):
    """By the admin's own link."""
    page.goto(f"{site.origin}/admin/")
    page.click("#logout-form button")
    page.wait_for_selector("text=Logged out")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_admins_own_log_out_and_password_form_are_followed(start, engine):
    site = start(engine=engine)
    laptop, first_tab = logged_in(site, "ann")
    _, phone = logged_in_later(site, "ann")
    second_tab = laptop.new_page()

    change_password(site, second_tab)

    # The other device has to log in again; this browser's tabs go on, bound to the new cookie …
    wait_for_socket(phone, "closed", 4001)
    third_tab = open_page(site, laptop)
    wait_for_socket(first_tab, "open")
    log_out(site, second_tab)
    # … which is why its log-out reaches them, those from before the change included.
    for tab in (first_tab, third_tab):
        wait_for_socket(tab, "closed", logged_out(start, engine))


def logged_out(start, engine):
    """How a log-out closes: a view of one's own cannot tell whether the cookie is still there."""
    blind = engine == "signed_cookies" and not start.keywords["package"]
    return 1013 if blind else 4001


def test_logging_out_leaves_other_people_and_other_devices_alone(start):
    site = start()
    _, laptop = logged_in(site, "ann")
    _, phone = logged_in(site, "ann")
    _, bob = logged_in(site, "bob")

    log_out(site, laptop)

    wait_until(lambda: not site_says_open(laptop), "the tab that logged out has left the page")
    assert site_says_open(phone)
    assert site_says_open(bob)


def site_says_open(page):
    """Whether the page shows an open socket."""
    return page.locator("#socket[data-phase=open]").count() == 1


def test_logging_in_as_somebody_else_closes_the_other_tabs(start):
    site = start()
    person, first_tab = logged_in(site, "ann")

    second_tab = person.new_page()
    site.log_in(second_tab, "bob")

    # It is to come back, as bob.
    wait_for_socket(first_tab, "closed", 1013)
    assert first_tab.get_attribute("#socket", "data-reason") == "another user logged in"
    wait_for_socket(second_tab, "open")


def test_a_page_that_deletes_or_sets_a_namesake_of_the_session_cookie_leaves_sockets_alone(start):
    site = start()
    person, tab = logged_in(site, "ann")
    other = person.new_page()

    # The live cookie is at "/"; sites write such lines for years after they moved theirs.
    for query in ("?path=/ws/", "?path=/ws/&value=another", "?path=/page/"):
        for _ in range(2):
            other.goto(f"{site.origin}/namesake/{query}")
            assert other.inner_text("body") == "ann"
        if "value" not in query:
            open_page(site, person).close()

    assert site_says_open(tab)
    other.goto(f"{site.origin}/namesake/?path=/ws/")
    log_out(site, other)
    wait_for_socket(tab, "closed", 4001)


def test_signed_cookies_that_change_with_every_write_close_nothing(start):
    site = start(engine="signed_cookies")
    person, tab = logged_in(site, "ann")
    writer = person.new_page()
    values = set()

    for number in range(1, 13):
        writer.goto(f"{site.origin}/write/")
        assert writer.inner_text("body") == str(number)
        values.add(session_cookie(person))
        # A tab that opens in the middle of it is let in, too.
        if number % 4 == 0:
            open_page(site, person).close()

    assert len(values) > 1, "the cookie did not change, so this test shows nothing"
    assert site_says_open(tab)
    log_out(site, writer)
    wait_for_socket(tab, "closed", logged_out(start, "signed_cookies"))


def session_cookie(person):
    """The value of the session cookie in this browser."""
    return next(cookie["value"] for cookie in person.cookies() if cookie["name"] == "sessionid")


def test_ten_tabs_of_a_session_cost_one_question(start):
    site = start()
    person, _ = logged_in(site, "ann")
    before = site.checks()

    for _ in range(10):
        open_page(site, person)

    assert site.checks() - before <= 1


def test_a_deactivated_users_sockets_close(start):
    site = start(revalidate="1s")
    _, admin = logged_in(site, "ann")
    _, victim = logged_in(site, "bob")

    admin.goto(f"{site.origin}/admin/auth/user/2/change/")
    admin.uncheck("#id_is_active")
    admin.click("[name=_save]")

    wait_for_socket(victim, "closed", 4001)


def test_checking_again_keeps_no_idle_session_alive(start_stock):
    site = start_stock(package=True, revalidate="500ms", age=6, save_every_request=1)
    _, tab = logged_in(site, "ann")
    before = site.checks()

    # Re-validation runs many times meanwhile, and the session ends all the same.
    wait_for_socket(tab, "closed", 4001)

    assert site.checks() - before >= 3
    assert "expired" in tab.get_attribute("#socket", "data-reason")


def test_a_page_request_extends_the_session_and_its_sockets(start):
    site = start(age=6, save_every_request=1)
    person, tab = logged_in(site, "ann")
    other = person.new_page()

    # Twice as long as the session would have lasted without these requests.
    def visit_for_twelve_seconds():
        other.goto(f"{site.origin}/write/")
        return int(other.inner_text("body")) >= 24

    wait_until(lambda: other.wait_for_timeout(500) or visit_for_twelve_seconds(), "24 visits")

    assert site_says_open(tab)


@pytest.mark.parametrize("engine", ["db", "cache"])
def test_a_session_whose_end_comes_nearer_closes_its_sockets_then(start, engine):
    site = start(engine=engine)
    person, tab = logged_in(site, "ann")
    other = person.new_page()

    other.goto(f"{site.origin}/end-soon/")
    # One that a lease of before lets in, as far as the gateway is concerned.
    late = open_page(site, person)

    assert site_says_open(tab)
    for page in (tab, late):
        wait_for_socket(page, "closed", 4001)
        assert "expired" in page.get_attribute("#socket", "data-reason")


def test_a_rotated_secret_key_logs_nobody_out(start_stock):
    site = start_stock(package=True, revalidate="500ms")
    person, tab = logged_in(site, "ann")
    old = "only-for-these-tests-" + "x" * 40
    before_restart = session_cookie(person)

    site.restart_django(secret_key="anew-" + "y" * 50, secret_key_fallbacks=old)
    checked = site.checks()
    wait_until(lambda: site.checks() >= checked + 3, "the session is checked again")

    # Checking rotates no key: the browser could not have been told of it.
    assert site_says_open(tab)
    other = open_page(site, person)
    # Django itself does, at the first page that looks at the user, and the sockets follow.
    other.goto(f"{site.origin}/admin/")
    wait_until(lambda: session_cookie(person) != before_restart, "Django cycles the key")
    assert site_says_open(tab)
    log_out(site, other)
    wait_for_socket(tab, "closed", 4001)
