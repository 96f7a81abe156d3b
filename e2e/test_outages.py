"""Django or the gateway goes away while people are connected."""

import signal

from harness.browser import log_in, send, wait_for_socket, wait_for_title
from harness.wait import listens, wait_until

# How long requests wait for Django: longer than gunicorn takes to start, where the test is about
# that.
LONG_HOLD = "20s"
SHORT_HOLD = "300ms"


def test_a_page_says_that_django_is_down_and_recovers_by_itself(start_site):
    site = start_site(hold=SHORT_HOLD)
    page = site.browser.visitor().new_page()
    site.django.stop()

    answer = page.goto(f"{site.origin}/accounts/login/")

    assert answer.status == 502
    text = page.inner_text("body")
    assert "django" in text.lower()
    assert f"127.0.0.1:{site.django_port}" in text
    site.start_django()
    page.wait_for_selector("input[name=username]")


def test_sockets_stay_open_while_django_restarts(start_site):
    site = start_site(hold=LONG_HOLD)
    ann, bob = site.browser.visitor().new_page(), site.browser.visitor().new_page()
    log_in(ann, site.origin, "ann")
    log_in(bob, site.origin, "bob")

    site.django.stop()
    assert not listens(site.django_port)
    site.start_django()
    send(bob, "user:ann", "after the restart")

    wait_for_title(ann, "after the restart")
    notes = ann.locator("#wire li.event span").all_inner_texts()
    assert notes == ["open"]


def test_a_request_waits_while_django_restarts(start_site):
    site = start_site(hold=LONG_HOLD)
    page = site.browser.visitor().new_page()
    page.goto(site.origin)
    site.django.stop()

    page.evaluate("() => { window.answer = fetch('/api/me/').then((answer) => answer.status); }")
    site.start_django()

    assert page.evaluate("window.answer") == 200


def test_a_socket_that_comes_while_django_is_away_is_let_in_if_it_was_known(start_site):
    site = start_site(hold=SHORT_HOLD)
    page = site.browser.visitor().new_page()
    log_in(page, site.origin, "ann")
    site.django.stop()

    page.reload()

    wait_for_socket(page, "open")
    site.start_django()


def test_a_socket_that_comes_while_django_is_away_is_not_sent_to_the_login_page(start_site):
    site = start_site(hold=SHORT_HOLD, auth='lease = "0s"\ngrace = "1ms"')
    page = site.browser.visitor().new_page()
    log_in(page, site.origin, "ann")
    site.django.stop()

    page.reload()

    page.locator("#wire li.event").get_by_text("close 1013").first.wait_for()
    site.start_django()
    wait_for_socket(page, "open")


def test_sigterm_closes_sockets_with_1001_and_exits_0(start_site):
    site = start_site(hold=LONG_HOLD)
    page = site.browser.visitor().new_page()
    log_in(page, site.origin, "ann")

    site.gateway.signal(signal.SIGTERM)

    page.locator("#wire li.event").get_by_text("close 1001").wait_for()
    assert site.gateway.wait() == 0
    wait_until(lambda: not listens(site.https_port), "the port is free again")
