"""In the admin: who is connected, a test message, closing sockets."""

import json
import re
import sys
from types import ModuleType

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.checks import run_checks
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

import fakes
from project.urls import urlpatterns as projects_urls

PAGE = "/admin/gatepost/connection/"


@pytest.fixture(autouse=True)
def _with_admin(settings, db):
    """A project with the admin, as `startproject` makes it."""
    settings.INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.messages",
        *settings.INSTALLED_APPS,
    ]
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    context = [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": context},
        }
    ]
    module = ModuleType("urls_with_admin")
    module.urlpatterns = [*projects_urls, path("admin/", admin.site.urls)]
    sys.modules[module.__name__] = module
    settings.ROOT_URLCONF = module.__name__
    yield
    del sys.modules[module.__name__]


def answers(said):
    return lambda handler: fakes.respond(
        handler, 200, json.dumps(said).encode(), "application/json"
    )


def connection(user, number=1, **changes):
    return {
        "connection": f"c{number:015}",
        "user": str(user),
        "session": "ab" * 32,
        "groups": ["staff"],
        "socket": "/ws/notifications/",
        "transport": "websocket",
        "address": "192.0.2.7",
        "since": 1794000000 + number,
        "sent": 3,
        "queued": 0,
        **changes,
    }


@pytest.fixture
def connected(gateway):
    """Has the gateway hold these connections."""

    def connected(*found):
        gateway.script.append(answers({"connections": list(found)}))

    return connected


@pytest.fixture
def staff(user):
    """Logs in somebody of the staff with these permissions, who has to send CSRF tokens."""

    def log_in(*permissions):
        person = get_user_model().objects.create_user("boss", password="x", is_staff=True)
        named = [f"{name}_connection" for name in permissions]
        found = Permission.objects.filter(content_type__app_label="gatepost", codename__in=named)
        assert len(found) == len(named)
        person.user_permissions.set(found)
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(person)
        return browser

    return log_in


def show(browser, query=""):
    answer = browser.get(PAGE + query)
    assert answer.status_code == 200
    return answer.content.decode()


def post(browser, gateway, action, **fields):
    """Posts from the page, with the token that its form has."""
    gateway.script.insert(0, answers({"connections": []}))
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', show(browser))[1]
    return browser.post(f"{PAGE}{action}/", {"csrfmiddlewaretoken": token, **fields})


def told(browser, gateway):
    """The messages on the page, after something was done."""
    gateway.script.append(answers({"connections": []}))
    listed = re.search(r'<ul class="messagelist">(.*?)</ul>', show(browser), re.DOTALL)
    return [re.sub(r"<.*?>", "", item).strip() for item in listed[1].split("</li>")[:-1]]


# Who is connected


def test_the_page_is_found_from_the_index(staff):
    browser = staff("view")
    assert f'href="{PAGE}"' in browser.get("/admin/gatepost/").content.decode()


def test_who_is_connected(staff, user, connected, gateway):
    connected(connection(user.pk), connection("gone", 2))
    text = show(staff("view"))
    assert "2 connections." in text
    assert ">ann<" in text or "<td>ann</td>" in text
    assert "192.0.2.7" in text
    assert "c000000000000001" in text
    # The newest first; and a key that is no user's is shown as it is.
    assert text.index("c000000000000002") < text.index("c000000000000001")
    assert "<td>gone</td>" in text


def test_a_connection_without_a_user_is_a_visitors(staff, connected, gateway):
    visitor = {"user": None, "session": None, "groups": [], "topics": ["news"]}
    connected({**connection("1"), **visitor})
    text = show(staff("view", "disconnect"))
    assert "<td>(visitor)</td>" in text
    assert 'aria-label="(visitor), c000000000000001"' in text
    assert "None" not in text


def test_no_secret_of_a_session_is_on_the_page(staff, user, connected, gateway):
    connected(connection(user.pk))
    assert "ab" * 32 not in show(staff("view"))


def test_what_clients_and_groups_are_called_is_escaped(staff, connected, gateway):
    connected(connection("<script>1</script>", groups=["<b>"], socket="/<i>/"))
    text = show(staff("view"))
    assert "<script>1" not in text
    assert "<b>" not in text
    assert "/<i>/" not in text


@pytest.mark.parametrize("by", ["name", "key"])
def test_of_one_user(staff, user, connected, gateway, by):
    connected(connection(user.pk))
    text = show(staff("view", "disconnect"), f"?user={'ann' if by == 'name' else user.pk}")
    assert gateway.calls[-1].path == f"/v1/connections?user={user.pk}"
    assert "Close all sockets of" in text


def test_of_a_topic(staff, user, connected, gateway):
    connected(connection(user.pk, topics=["shop.order:17", "news"]))
    text = show(staff("view"), "?topic=shop.order:17")
    assert gateway.calls[0].path == "/v1/connections?topic=shop.order%3A17"
    assert "shop.order:17, news" in text
    assert "is not the name of a topic" in show(staff_again(), "?topic=a:b:c")
    assert len(gateway.calls) == 1


def staff_again():
    browser = Client()
    browser.force_login(get_user_model().objects.get(username="boss"))
    return browser


def test_an_unknown_user_is_said(staff, gateway):
    text = show(staff("view"), "?user=zoe")
    assert "There is no user" in text
    assert gateway.calls == []


def test_a_number_that_is_no_key_is_an_unknown_user(staff, gateway):
    assert "There is no user" in show(staff("view"), f"?user={'9' * 30}")


def test_a_crowd_is_counted_and_its_newest_shown(staff, user, connected, gateway):
    connected(*(connection(user.pk, number) for number in range(1, 602)))
    text = show(staff("view"))
    assert "601 connections; the newest 500 are shown" in text
    assert text.count("/ws/notifications/") == 500
    assert "c000000000000601" in text


def test_the_names_of_a_crowd_cost_one_query(staff, user, connected, gateway):
    browser = staff("view")
    connected(*(connection(user.pk, number) for number in range(1, 50)))
    with CaptureQueriesContext(database) as queries:
        show(browser)
    table = get_user_model()._meta.db_table
    of_users = [query for query in queries if f'FROM "{table}" WHERE' in query["sql"]]
    assert len(of_users) == 2  # who looks, and who is connected


def test_a_gateway_that_is_away_is_a_message_on_the_page(staff, gateway):
    gateway.close()
    text = show(staff("view", "publish"))
    assert "annot reach the gateway at" in text
    assert "0 connections." in text


# Permissions


def test_without_a_permission_nothing_can_be_seen_or_done(staff, gateway):
    browser = staff()
    assert browser.get(PAGE).status_code == 403
    assert browser.get("/admin/gatepost/").status_code == 404
    assert gateway.calls == []


def test_strangers_are_sent_to_the_login_page(client, gateway):
    for where in (PAGE, f"{PAGE}disconnect/", f"{PAGE}publish/"):
        answer = client.post(where, {"connection": "c1"})
        assert (answer.status_code, "login" in answer["Location"]) == (302, True)
    assert gateway.calls == []


@pytest.mark.parametrize("action", ["disconnect", "publish"])
def test_seeing_does_not_permit_doing(staff, user, connected, gateway, action):
    connected(connection(user.pk))
    browser = staff("view")
    text = show(browser)
    assert f"/{action}/" not in re.findall(r'<form method="post" action="([^"]+)"', text)[1:]
    assert 'type="checkbox"' not in text
    assert (
        post(browser, gateway, action, connection="c1", to="everyone", frame="1").status_code == 403
    )
    assert gateway.revocations == []
    assert gateway.publications == []


@pytest.mark.parametrize("action", ["disconnect", "publish"])
def test_what_another_site_posts_is_refused(staff, gateway, action):
    browser = staff("view", "disconnect", "publish")
    answer = browser.post(f"{PAGE}{action}/", {"connection": "c1", "to": "everyone", "frame": "1"})
    assert answer.status_code == 403
    assert gateway.calls == []


@pytest.mark.parametrize("action", ["disconnect", "publish"])
def test_a_link_does_nothing(staff, gateway, action):
    browser = staff("view", "disconnect", "publish")
    assert browser.get(f"{PAGE}{action}/").status_code == 405
    assert gateway.calls == []


# Closing sockets


def test_the_selected_sockets_are_closed(staff, gateway):
    browser = staff("view", "disconnect")
    gateway.script += [answers({"closed": 1}), answers({"closed": 0})]
    answer = post(browser, gateway, "disconnect", connection=["c1", "c2"])
    assert answer["Location"] == PAGE
    assert gateway.revocations == [
        {"connection": name, "code": 4001, "reason": "closed by an administrator"}
        for name in ("c1", "c2")
    ]
    assert told(browser, gateway) == ["1 socket was closed."]


def test_all_sockets_of_a_user_are_closed(staff, user, gateway):
    browser = staff("view", "disconnect")
    gateway.script.append(answers({"closed": 3}))
    post(browser, gateway, "disconnect", user=str(user.pk), connection=["c1"])
    assert [said.get("user") for said in gateway.revocations] == [str(user.pk)]
    assert told(browser, gateway) == ["3 sockets were closed."]


def test_a_gateway_that_goes_away_meanwhile_is_a_message(staff, gateway):
    browser = staff("view", "disconnect")
    gateway.script.append(fakes.problem(503, "busy"))
    post(browser, gateway, "disconnect", connection="c1")
    (said,) = told(browser, gateway)
    assert "busy" in said


@pytest.fixture
def users():
    """The admin of a project's users, with the action."""
    from gatepost.admin import disconnect

    made = admin.ModelAdmin(get_user_model(), admin.site)
    made.actions = [disconnect]
    return made


def request_of(person):
    """A request of a person that can take messages."""
    from django.contrib.messages.storage.cookie import CookieStorage
    from django.test import RequestFactory

    request = RequestFactory().post("/")
    request.user = person
    request._messages = CookieStorage(request)
    return request


def test_the_users_admin_can_close_their_sockets(staff, users, user, gateway):
    staff("disconnect")
    person = get_user_model().objects.get(username="boss")
    request = request_of(person)
    assert "disconnect" in users.get_actions(request)
    (action,) = users.actions
    assert action.short_description == "Close the sockets of the selected users"
    gateway.script += [answers({"closed": 1})] * 2

    action(users, request, get_user_model().objects.order_by("username"))

    assert [said["user"] for said in gateway.revocations] == [str(user.pk), str(person.pk)]
    assert [str(message) for message in request._messages] == ["2 sockets were closed."]


def test_the_action_needs_the_permission(users, user, gateway):
    (action,) = users.actions
    with pytest.raises(PermissionDenied):
        action(users, request_of(user), get_user_model().objects.all())
    assert gateway.calls == []


# A test message


@pytest.mark.parametrize(
    ("to", "name", "audience"),
    [
        ("group", "staff", {"group": "staff"}),
        ("everyone", "", {"everyone": True}),
        ("topic", "shop.order:17", {"topic": "shop.order:17"}),
    ],
)
def test_a_test_message_is_sent(staff, gateway, to, name, audience):
    browser = staff("view", "publish")
    gateway.script.append(answers({"sockets": 2, "offline": 0}))
    post(browser, gateway, "publish", to=to, name=name, frame='{"type": "test"}')
    said = json.loads(gateway.calls[-1].body)
    assert said["to"] == audience
    assert said["frame"] == {"type": "test"}
    assert told(browser, gateway) == ["The message was sent to 2 sockets."]


def test_a_test_message_to_a_user(staff, user, gateway):
    browser = staff("view", "publish")
    gateway.script += [answers({"sockets": 1})] * 2
    post(browser, gateway, "publish", to="user", name="ann", frame="1")
    post(browser, gateway, "publish", to="user", name=str(user.pk), frame="1")
    published = [json.loads(call.body) for call in gateway.calls if call.path == "/v1/publish"]
    assert [said["to"] for said in published] == [{"user": str(user.pk)}] * 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"to": "user", "name": "zoe", "frame": "1"}, "There is no such user."),
        ({"to": "group", "name": "", "frame": "1"}, "Name the group."),
        ({"to": "topic", "name": "two words", "frame": "1"}, "not the name of a topic."),
        ({"to": "everyone", "frame": "{no json"}, "Enter a valid JSON."),
        ({"to": "everyone", "frame": "[NaN]"}, "This is not JSON"),
        ({"to": "everyone", "frame": "1e999"}, "This is not JSON"),
        ({"to": "session", "name": "x", "frame": "1"}, "not one of the available choices"),
    ],
)
def test_a_wrong_message_is_shown_again(staff, gateway, fields, said):
    browser = staff("view", "publish")
    gateway.script.append(answers({"connections": []}))
    answer = post(browser, gateway, "publish", **fields)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not any(call.path == "/v1/publish" for call in gateway.calls)


# The model that is none


def test_there_is_nothing_to_migrate(capsys):
    call_command("makemigrations", "--check", "--dry-run", verbosity=1)
    assert "No changes detected" in capsys.readouterr().out
    assert [message.id for message in run_checks() if "gatepost" in str(message.obj)] == []
