"""Django's own view of a socket's path says who may listen: a real project, a real browser."""

import json

import pytest

from harness.browser import log_in
from harness.site import Site
from harness.wait import wait_until

ROUTES = ["groups", "outside", "inside", "permitted", "mixed", "public"]


class ViewSite(Site):
    """A site with a route for each of the project's views."""

    settings = "".join(
        f'\n[[sockets]]\npath = "/ws/{name}/{{pk}}/"\nview = true\n'
        + ("anonymous = true\n" if name == "public" else "")
        for name in ROUTES
    )


#: As a front end written for Channels has it: it knows nothing of the gateway.
OPEN = """path => {
  const ws = new WebSocket(`wss://${location.host}${path}`);
  const one = { ws, messages: [], close: null };
  window.opened = { ...(window.opened || {}), [path]: one };
  ws.onmessage = (event) => one.messages.push(JSON.parse(event.data));
  ws.onclose = (event) => { one.close = [event.code, event.reason]; };
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    running = ViewSite(tmp_path_factory.mktemp("site"), playwright)
    try:
        running.start()
        run(
            running,
            "ours, theirs = Group.objects.bulk_create("
            "[Group(pk=71, name='ours'), Group(pk=72, name='theirs')])",
            "ours.user_set.add(user('ann'), user('bob'))",
            "theirs.user_set.add(user('bob'))",
        )
        yield running
    finally:
        running.stop()


def run(site, *lines):
    """Runs Python in the project, which a page or a task would otherwise."""
    before = [
        "from django.contrib.auth.models import Group, Permission, User",
        "from gatepost import Topic, notify, recheck, revoke",
        "user = lambda name: User.objects.get(username=name)",
        "group = lambda pk: Group.objects.get(pk=pk)",
    ]
    site.manage("shell", "--command", "\n".join([*before, *lines]))


@pytest.fixture
def ann(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "ann")
    return page


def messages(page, path):
    return page.evaluate(f"window.opened[{json.dumps(path)}].messages")


def closed(page, path):
    wait_until(lambda: page.evaluate(f"window.opened[{json.dumps(path)}].close"), f"{path} closes")
    return page.evaluate(f"window.opened[{json.dumps(path)}].close")


def heard(page, path, count):
    wait_until(lambda: len(messages(page, path)) >= count, f"{count} messages at {path}")
    return messages(page, path)


def is_open(page, path):
    wait_until(
        lambda: page.evaluate(f"window.opened[{json.dumps(path)}].ws.readyState") == 1,
        f"{path} is open",
    )


def test_a_page_hears_of_its_object_and_a_foreign_one_is_not_there(site, ann):
    for path in ("/ws/groups/71/", "/ws/groups/72/", "/ws/groups/9/"):
        ann.evaluate(OPEN, path)
    assert heard(ann, "/ws/groups/71/", 1) == [{"type": "group", "name": "ours"}]
    for path in ("/ws/groups/72/", "/ws/groups/9/"):
        assert closed(ann, path) == [4003, "not allowed"]
    run(site, "notify(Topic(group(71)), {'n': 1})", "notify(Topic(group(72)), {'n': 2})")
    assert heard(ann, "/ws/groups/71/", 2)[1:] == [{"n": 1}]


def test_two_tabs_hear_the_same_and_are_one_question(site, visitor):
    person = visitor()
    first, second = person.new_page(), person.new_page()
    log_in(first, site.origin, "bob")
    second.goto(site.origin)
    path = "/ws/groups/72/"
    asked = site.asked(f"GET {path}")
    for page in (first, second):
        page.evaluate(OPEN, path)
        heard(page, path, 1)
    run(site, "notify(Topic(group(72)), {'n': 3})")
    assert heard(first, path, 2)[1] == heard(second, path, 2)[1] == {"n": 3}
    # First frames are never kept, so each new connection is asked about; nothing else is.
    assert site.asked(f"GET {path}") <= asked + 2


@pytest.mark.parametrize("name", ["outside", "inside", "mixed"])
def test_the_login_may_stand_on_either_side_of_the_decorator(site, ann, visitor, name):
    path = f"/ws/{name}/71/"
    ann.evaluate(OPEN, path)
    is_open(ann, path)
    stranger = visitor().new_page()
    stranger.goto(f"{site.origin}/accounts/login/")
    stranger.context.add_cookies(
        [{"name": "sessionid", "value": "invented", "url": site.origin, "httpOnly": True}]
    )
    stranger.evaluate(OPEN, path)
    assert closed(stranger, path)[0] == 4001


def test_who_lacks_a_permission_is_refused_and_never_sent_to_the_login(site, visitor):
    page = visitor().new_page()
    log_in(page, site.origin, "bob")
    path = "/ws/permitted/71/"
    page.evaluate(OPEN, path)
    assert closed(page, path) == [4003, "not allowed"]
    run(
        site,
        "user('bob').user_permissions.add(Permission.objects.get(codename='view_group'))",
    )
    page.evaluate(OPEN, path)
    is_open(page, path)
    run(site, "user('bob').user_permissions.clear()", "recheck(user('bob'))")
    assert closed(page, path) == [4003, "not allowed"]
    assert messages(page, path)[-1] == {
        "gatepost": "unsubscribed",
        "topics": ["auth.group:71"],
        "reason": "not_allowed",
    }


def test_visitors_listen_where_view_and_route_let_them(site, visitor):
    page = visitor().new_page()
    page.goto(f"{site.origin}/accounts/login/")
    path = "/ws/public/1/"
    page.evaluate(OPEN, path)
    is_open(page, path)
    run(site, "notify(Topic('news'), {'n': 4})")
    assert heard(page, path, 1) == [{"n": 4}]


def test_a_page_listens_later_until_that_is_revoked(site, ann):
    ann.evaluate(OPEN, "/ws/notifications/")
    is_open(ann, "/ws/notifications/")
    send = """(path) => window.opened["/ws/notifications/"].ws.send(
        JSON.stringify({ gatepost: "subscribe", path }))"""
    for path in ("/ws/groups/71/", "/ws/groups/72/"):
        ann.evaluate(send, path)
    first, second = heard(ann, "/ws/notifications/", 2)[:2]
    assert (first["gatepost"], first["topics"]) == ("subscribed", ["auth.group:71"])
    assert (second["gatepost"], second["reason"]) == ("refused", "not_allowed")
    run(site, "revoke(Topic(group(71)), user=user('ann'))")
    assert heard(ann, "/ws/notifications/", 3)[2]["reason"] == "revoked"


def test_to_everybody_else_the_path_is_not_there(site, ann):
    status = "async () => (await fetch('/ws/groups/71/')).status"
    assert ann.evaluate(status) == 426, "a socket route of the gateway"
    run(
        site,
        "from django.test import Client",
        "assert Client().get('/ws/groups/71/', headers={'host': 'localhost'}).status_code == 404",
    )
