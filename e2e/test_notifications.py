"""What the product is for: log in, a socket opens, notifications arrive, log out."""

import re
from pathlib import Path

from harness.browser import log_in, send, titles, wait_for_socket, wait_for_title

CONTRACT = Path(__file__).with_name("session-contract.md")

# Opens a socket of the test's own in the page and keeps what happens to it.
OPEN_SOCKET = """path => new Promise((resolve) => {
  const ws = new WebSocket(`wss://${location.host}${path}`);
  window.probe = { ws, messages: [], close: null };
  ws.onmessage = (event) => window.probe.messages.push(event.data);
  ws.onclose = (event) => { window.probe.close = [event.code, event.reason]; resolve(); };
  ws.onopen = () => resolve();
})"""


# The same with the subprotocol.
OPEN_V1 = """path => new Promise((resolve) => {
  const ws = new WebSocket(`wss://${location.host}${path}`, "gatepost.v1");
  window.probe = { ws, messages: [] };
  ws.onmessage = (event) => window.probe.messages.push(JSON.parse(event.data));
  ws.onopen = () => resolve();
})"""
HAS_TITLE = "title => probe.messages.some((message) => message.data?.title === title)"


def test_login_by_the_stock_form_opens_the_socket(site, visitor):
    page = visitor().new_page()

    log_in(page, site.origin, "ann")

    assert page.inner_text("#socket-state") == "open"


def test_a_form_without_its_csrf_token_is_refused_by_django(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/accounts/login/")
    page.evaluate("document.querySelector('[name=csrfmiddlewaretoken]').remove()")
    page.fill("input[name=username]", "ann")
    page.fill("input[name=password]", "ann-gatepost")

    with page.expect_navigation() as navigation:
        page.click("form button")

    assert navigation.value.status == 403


def test_a_notification_from_another_user_is_shown(site, visitor):
    ann, bob = visitor().new_page(), visitor().new_page()
    log_in(ann, site.origin, "ann")
    log_in(bob, site.origin, "bob")

    send(bob, "user:ann", "For ann <b>only</b>", "a & b")

    wait_for_title(ann, "For ann <b>only</b>")
    assert ann.inner_text(".note-message >> nth=0") == "a & b"


def test_user_group_and_everyone_reach_whom_they_name(site, visitor):
    ann, bob = visitor().new_page(), visitor().new_page()
    log_in(ann, site.origin, "ann")
    log_in(bob, site.origin, "bob")

    send(ann, "user:bob", "to bob")
    send(ann, "group:staff", "to staff")
    send(ann, "everyone", "to everyone")

    # Order is kept per audience; what came last has arrived, so what was not for a page is not
    # under way either.
    wait_for_title(ann, "to everyone")
    wait_for_title(bob, "to everyone")
    wait_for_title(ann, "to staff")
    wait_for_title(bob, "to bob")
    assert "to bob" not in titles(ann)
    assert "to staff" not in titles(bob)


def test_every_tab_of_a_user_gets_the_notification(site, visitor):
    person = visitor()
    first, second = person.new_page(), person.new_page()
    log_in(first, site.origin, "ann")
    second.goto(site.origin)
    wait_for_socket(second, "open")

    send(first, "user:ann", "in both tabs")

    wait_for_title(first, "in both tabs")
    wait_for_title(second, "in both tabs")


def test_a_json_ping_is_answered_with_its_members_echoed(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "bob")
    page.evaluate(OPEN_SOCKET, "/ws/notifications/")

    page.evaluate("""window.probe.ws.send('{"type":"ping","n":7}')""")

    page.wait_for_function("window.probe.messages.length > 0")
    answer = page.evaluate("JSON.parse(window.probe.messages[0])")
    assert answer == {"type": "pong", "n": 7}


def test_gatepost_v1_says_where_each_frame_is_and_goes_on_from_there(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "ann")
    page.evaluate(OPEN_V1, "/ws/notifications/")

    send(page, "user:ann", "with a position")

    page.wait_for_function(HAS_TITLE, arg="with a position")
    welcome, *_, last = page.evaluate("probe.messages")
    assert page.evaluate("probe.ws.protocol") == "gatepost.v1"
    assert welcome["control"] == "welcome"
    assert welcome["recovered"] is True
    assert len(welcome["connection"]) == 16
    page.evaluate("new Promise((done) => { probe.ws.onclose = done; probe.ws.close(); })")
    send(page, "user:ann", "while it was away")
    page.evaluate(OPEN_V1, f"/ws/notifications/?position={last['id']}")
    page.wait_for_function(HAS_TITLE, arg="while it was away")
    assert page.evaluate("probe.messages[0].recovered") is True
    assert not page.evaluate(f"({HAS_TITLE})('with a position')")


def test_the_page_shows_ping_and_pong(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "bob")

    page.click("#ping")

    page.locator("#wire li.in").get_by_text('{"type":"pong"}').wait_for()


def test_logging_out_in_one_tab_closes_the_other_tabs_socket_with_4001(site, visitor):
    person = visitor()
    first, second = person.new_page(), person.new_page()
    log_in(first, site.origin, "ann")
    second.goto(site.origin)
    wait_for_socket(second, "open")

    first.click("#logout")

    wait_for_socket(second, "closed", 4001)
    second.wait_for_selector("#signed-out:not([hidden])")


def test_logging_out_leaves_the_users_other_sessions_alone(site, visitor):
    laptop, phone = visitor().new_page(), visitor().new_page()
    log_in(laptop, site.origin, "bob")
    log_in(phone, site.origin, "bob")

    laptop.click("#logout")
    wait_for_socket(laptop, "closed", 4001)
    send(phone, "user:bob", "still here")

    wait_for_title(phone, "still here")


def test_an_anonymous_page_gets_4001(site, visitor):
    page = visitor().new_page()

    page.goto(site.origin)

    wait_for_socket(page, "closed", 4001)
    page.wait_for_selector("#signed-out:not([hidden])")


def test_a_made_up_session_cookie_gets_4001(site, visitor):
    person = visitor()
    cookie = {"name": "sessionid", "value": "x" * 32, "url": site.origin}
    person.add_cookies([cookie])
    page = person.new_page()

    page.goto(site.origin)

    wait_for_socket(page, "closed", 4001)


def test_logging_in_in_another_tab_opens_the_first_tabs_socket_when_it_is_looked_at(site, visitor):
    person = visitor()
    first = person.new_page()
    first.goto(site.origin)
    wait_for_socket(first, "closed", 4001)
    log_in(person.new_page(), site.origin, "bob")

    first.evaluate("window.dispatchEvent(new Event('focus'))")

    wait_for_socket(first, "open")
    first.wait_for_selector("#user-name:text-is('bob')")


def test_admin_login_works(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/admin/")
    page.fill("#id_username", "ann")
    page.fill("#id_password", "ann-gatepost")

    page.click("input[type=submit]")

    page.wait_for_selector("#user-tools")
    # The gateway serves the admin's own files from STATIC_ROOT.
    page.wait_for_function("getComputedStyle(document.querySelector('#header')).display === 'flex'")
    page.click("text=Users")
    page.wait_for_selector("#result_list >> text=bob")


def test_the_gateways_log_holds_no_session_cookie(site, visitor):
    person = visitor()
    page = person.new_page()
    log_in(page, site.origin, "ann")
    page.click("#ping")
    cookies = {cookie["name"]: cookie["value"] for cookie in person.cookies()}

    page.click("#logout")
    wait_for_socket(page, "closed", 4001)

    assert len(cookies["sessionid"]) == 32
    assert cookies["sessionid"] not in site.gateway.output()
    assert cookies["csrftoken"] not in site.gateway.output()


def test_everything_works_over_unix_sockets(start_site):
    site = start_site(unix=True)
    page = site.browser.visitor().new_page()
    log_in(page, site.origin, "ann")

    send(page, "user:ann", "over two unix sockets")

    wait_for_title(page, "over two unix sockets")


def contract_script():
    """The document's JavaScript; its host and port are filled in, as the document itself tells."""
    code = re.search(r"```javascript\n(.*?)```", CONTRACT.read_text(), re.DOTALL)[1]
    code, hosts = re.subn(
        r"^const backendHost = .*$",
        "const backendHost = window.location.hostname;",
        code,
        flags=re.M,
    )
    code, ports = re.subn(
        r"^const port = .*$", "const port = `:${window.location.port}`;", code, flags=re.M
    )
    assert (hosts, ports) == (1, 1)
    return code


def console_of(page):
    lines = []
    page.on("console", lambda message: lines.append(message.text))
    return lines


def test_the_documents_own_javascript_runs_unchanged(site, visitor):
    sender = visitor().new_page()
    log_in(sender, site.origin, "bob")
    person = visitor()
    page = person.new_page()
    log_in(page, site.origin, "ann")
    lines = console_of(page)

    page.clock.install()
    with page.expect_console_message(lambda message: "connected" in message.text):
        page.add_script_tag(content=contract_script())
    with page.expect_console_message(
        lambda message: message.text == "Notification: by the document hello"
    ):
        send(sender, "user:ann", "by the document")
    with page.expect_console_message(lambda message: message.text == "Pong"):
        page.clock.run_for(30_000)
    with page.expect_console_message(lambda message: "WebSocket closed: 4001" in message.text):
        other = person.new_page()
        other.goto(site.origin)
        other.click("#logout")

    assert "Not authenticated – please log in" in lines
    assert "WebSocket connected (session auth)" in lines


def test_the_documents_javascript_on_an_anonymous_page_is_told_to_log_in(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/accounts/login/")

    with page.expect_console_message(lambda message: message.text.startswith("Not authenticated")):
        page.add_script_tag(content=contract_script())
