"""Django or the gateway goes away while people are connected."""

import signal

from harness.browser import log_in, send, wait_for_socket, wait_for_title
from harness.wait import listens, wait_until


def test_a_page_says_that_django_is_down_and_recovers_by_itself(own_site):
    page = own_site.browser.visitor().new_page()
    own_site.django.stop()

    answer = page.goto(f"{own_site.origin}/accounts/login/")

    assert answer.status == 502
    text = page.inner_text("body")
    assert "django" in text.lower()
    assert f"127.0.0.1:{own_site.django_port}" in text
    own_site.start_django()
    page.wait_for_selector("input[name=username]")


def test_sockets_stay_open_while_django_restarts(own_site):
    ann, bob = own_site.browser.visitor().new_page(), own_site.browser.visitor().new_page()
    log_in(ann, own_site.origin, "ann")
    log_in(bob, own_site.origin, "bob")

    own_site.django.stop()
    assert not listens(own_site.django_port)
    own_site.start_django()
    send(bob, "user:ann", "after the restart")

    wait_for_title(ann, "after the restart")
    notes = ann.locator("#wire li.note span").all_inner_texts()
    assert notes == ["open"]


def test_a_request_waits_while_django_restarts(own_site):
    page = own_site.browser.visitor().new_page()
    page.goto(own_site.origin)
    own_site.django.stop()

    page.evaluate("window.answer = fetch('/api/me/').then((answer) => answer.status)")
    own_site.start_django()

    assert page.evaluate("window.answer") == 200


def test_a_socket_that_comes_while_django_is_away_is_not_sent_to_the_login_page(own_site):
    page = own_site.browser.visitor().new_page()
    log_in(page, own_site.origin, "ann")
    own_site.django.stop()

    page.reload()

    page.locator("#wire li.note").get_by_text("close 1013").first.wait_for()
    own_site.start_django()
    wait_for_socket(page, "open")


def test_sigterm_closes_sockets_with_1001_and_exits_0(own_site):
    page = own_site.browser.visitor().new_page()
    log_in(page, own_site.origin, "ann")

    own_site.gateway.signal(signal.SIGTERM)

    page.locator("#wire li.note").get_by_text("close 1001").wait_for()
    assert own_site.gateway.wait() == 0
    wait_until(lambda: not listens(own_site.https_port), "the port is free again")
