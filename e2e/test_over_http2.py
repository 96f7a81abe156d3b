"""WebSockets over HTTP/2: a real browser opens them as streams of its page's own connection."""

import json

import pytest

from harness.browser import log_in, send, wait_for_socket, wait_for_title
from harness.site import SOCKET, Site
from harness.wait import wait_until

OPEN_SOCKET = """path => new Promise((resolve) => {
  const ws = new WebSocket(`wss://${location.host}${path}`);
  window.probe = { ws, messages: [], close: null };
  ws.onmessage = (event) => window.probe.messages.push(event.data);
  ws.onclose = (event) => { window.probe.close = [event.code, event.reason]; resolve(); };
  ws.onopen = () => resolve();
})"""
CLOSE_SOCKET = "new Promise((done) => { probe.ws.onclose = done; probe.ws.close(); })"


class SiteWithoutIt(Site):
    """Each WebSocket has a connection of its own."""

    server = "websocket_over_http2 = false"


@pytest.fixture
def site_without_it(tmp_path, playwright):
    running = SiteWithoutIt(tmp_path, playwright)
    try:
        yield running.start()
    finally:
        running.stop()


def handshakes(page):
    """What Chromium gets in answer to each handshake of this page's, as it comes."""
    statuses = []
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.on(
        "Network.webSocketHandshakeResponseReceived",
        lambda event: statuses.append(event["response"]["status"]),
    )
    return statuses


def wait_for(page, statuses, *expected):
    """Waits until these came; events come while the page is asked something."""
    wait_until(lambda: page.evaluate("1") and len(statuses) >= len(expected), "the handshakes")
    assert statuses == list(expected)


def connections(site, message):
    """The gateway's connection in which each line of its log with this message was written."""
    lines = [json.loads(line) for line in list(site.gateway.lines) if line.startswith("{")]
    spans = [line["spans"] for line in lines if line["message"] == message]
    return [(span[0]["protocol"], span[0]["number"]) for span in spans]


def test_a_pages_sockets_are_streams_of_the_connection_that_it_came_on(site, visitor):
    page = visitor().new_page()
    statuses = handshakes(page)
    log_in(page, site.origin, "ann")
    page.evaluate(OPEN_SOCKET, SOCKET)

    send(page, "user:ann", "over HTTP/2")

    wait_for_title(page, "over HTTP/2")
    page.wait_for_function("probe.messages.some((message) => message.includes('over HTTP/2'))")
    wait_for(page, statuses, 200, 200)
    # A request of the page's own, of which the log tells.
    page.evaluate("path => fetch(path)", SOCKET)
    page.evaluate(CLOSE_SOCKET)
    page.goto("about:blank")
    ended = wait_until(
        lambda: len(found := connections(site, "connection ends")) == 2 and found, "both have ended"
    )
    [asked] = connections(site, "handshake refused")
    assert asked[0] == "HTTP/2"
    assert ended == [asked, asked]


def test_a_logout_closes_the_sockets_of_all_tabs_and_no_connection(site, visitor):
    person = visitor()
    first, second = person.new_page(), person.new_page()
    statuses = handshakes(second)
    log_in(first, site.origin, "bob")
    second.goto(site.origin)
    wait_for_socket(second, "open")

    first.evaluate(OPEN_SOCKET, SOCKET)
    first.click("#logout")

    wait_for_socket(second, "closed", 4001)
    second.evaluate(OPEN_SOCKET, SOCKET)
    second.wait_for_function("probe.close !== null")
    assert second.evaluate("probe.close") == [4001, "not logged in"]
    wait_for(second, statuses, 200, 200)


def test_a_gateway_that_restarts_finds_its_sockets_again(start_site):
    site = start_site()
    page = site.browser.visitor().new_page()
    statuses = handshakes(page)
    log_in(page, site.origin, "ann")
    page.evaluate(OPEN_SOCKET, SOCKET)

    site.restart_gateway()

    page.wait_for_function("probe.close !== null")
    code, delay = page.evaluate("probe.close")
    assert code == 1001
    assert delay.isdigit()
    # Chromium opens a stream where there is a connection of HTTP/2 already, and now there is none.
    wait_for(page, statuses, 200, 200, 101)
    wait_for_socket(page, "open")


def test_vites_own_socket_is_a_stream_too(start_site):
    site = start_site(vite=True)
    page = site.browser.visitor().new_page()
    statuses = handshakes(page)

    with page.expect_console_message(lambda message: message.text == "[vite] connected."):
        log_in(page, site.origin, "ann")

    # Its own, and the page's.
    wait_for(page, statuses, 200, 200)


def test_where_it_is_off_each_socket_has_a_connection_of_its_own(site_without_it):
    site = site_without_it
    page = site.browser.visitor().new_page()
    statuses = handshakes(page)
    log_in(page, site.origin, "ann")

    page.evaluate(OPEN_SOCKET, SOCKET)

    wait_for(page, statuses, 101, 101)
