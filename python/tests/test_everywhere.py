"""What the guides promise holds wherever it is said, and at each of several gateways."""

import pytest
from celery import Celery
from django.contrib.auth import get_user_model, logout, update_session_auth_hash
from django.contrib.auth.models import Group as DjangosGroup
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from test_admin import _with_admin as with_admin  # noqa: F401 - a fixture
from through import AsyncThrough, Through, run
from through import riding as rode

import fakes
from gatepost import Session, notify, recheck, revoke
from gatepost.signing.digest import session_digest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gateways(settings):
    """Two, which do not know of each other."""
    both = [fakes.FakeGateway.on_tcp() for _ in range(2)]
    settings.GATEPOST = {**settings.GATEPOST, "URL": [fake.url for fake in both]}
    yield both
    for fake in both:
        fake.close()


def heard(gateway):
    """Return what a gateway was told, each as (path, body), without ids."""
    said = [(call.path, line) for call in gateway.calls for line in call.lines]
    return [(path, {k: v for k, v in line.items() if k != "id"}) for path, line in said]


@pytest.fixture
def both_heard(gateways):
    def both_heard(*expected):
        first, second = map(heard, gateways)
        assert first == second == list(expected)

    return both_heard


def at_a_shell(work, at):
    work()


def in_a_view(work, at):
    at(view=lambda request: (work(), HttpResponse("done"))[1])
    assert Through().get("/view/").status_code == 200


def in_an_asynchronous_server(work, at):
    at(view=lambda request: (work(), HttpResponse("done"))[1])
    run(AsyncThrough().get, "/view/")


def in_a_stream(work, at):
    at(view=lambda request: (work(), StreamingHttpResponse(iter(["done"])))[1])
    Through().get("/view/").getvalue()


def past_the_gateways(work, at):
    at(view=lambda request: (work(), HttpResponse("done"))[1])
    Client().get("/view/")


def in_celery(work, at):
    app = Celery("tests", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = True

    @app.task(name="work")
    def task():
        work()

    task.delay()


PLACES = [
    at_a_shell,
    in_a_view,
    in_an_asynchronous_server,
    in_a_stream,
    past_the_gateways,
    in_celery,
]
everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda one: one.__name__)


@everywhere
def test_notify(place, at, user, both_heard):
    place(lambda: notify(user, 1), at)
    both_heard(("/v1/publish", {"to": {"user": str(user.pk)}, "frame": 1}))


@everywhere
def test_revoke(place, at, user, both_heard):
    place(lambda: revoke(user), at)
    said = {"user": str(user.pk), "code": 4001, "reason": "session ended"}
    both_heard(("/v1/revoke", said))


@everywhere
def test_recheck(place, at, user, both_heard):
    place(lambda: recheck(user), at)
    both_heard(("/v1/recheck", {"user": str(user.pk)}))


@everywhere
def test_deactivation(place, at, user, both_heard):
    user.is_active = False
    place(user.save, at)
    said = {"user": str(user.pk), "code": 4001, "reason": "account deactivated"}
    both_heard(("/v1/revoke", said))


@everywhere
def test_a_new_password(place, at, user, both_heard):
    user.set_password("another")
    place(user.save, at)
    both_heard(("/v1/recheck", {"user": str(user.pk)}))


@everywhere
def test_groups(place, at, user, both_heard):
    group = DjangosGroup.objects.create(name="staff")
    place(lambda: user.groups.add(group), at)
    both_heard(("/v1/recheck", {"user": str(user.pk)}))


@everywhere
def test_a_deleted_group(place, at, both_heard):
    group = DjangosGroup.objects.create(name="staff")
    place(group.delete, at)
    both_heard(("/v1/recheck", {"group": "staff"}))


@pytest.mark.parametrize("browser", [Through, Client])
def test_logout(browser, at, user, both_heard, settings):
    at(view=lambda request: logout(request) or HttpResponse("bye"))
    browser = browser()
    browser.force_login(user)
    digest = session_digest(
        settings.GATEPOST["SECRET"].encode(), browser.cookies["sessionid"].value
    )
    browser.get("/view/")
    both_heard(("/v1/revoke", {"session": digest, "code": 4001, "reason": "logged out"}))


def test_a_password_change_keeps_this_browser_and_reaches_the_other_gateway(
    at, user, gateways, settings
):
    """The response, which brings the new cookie, has gone before anybody asks with the old one."""
    told_before = []

    def view(request):
        user.set_password("another")
        user.save()
        update_session_auth_hash(request, user)
        return HttpResponse("changed")

    at(view=view)
    browser = Through()
    browser.force_login(user)
    response = browser.get("/view/", headers={})
    told_before = rode(response, "Revoke")
    assert told_before == [{"user": str(user.pk), "recheck": True}]
    assert "sessionid" in response.cookies
    for gateway in gateways:
        assert heard(gateway) == [("/v1/recheck", {"user": str(user.pk)})]


def test_it_waits_for_the_response_to_go(at, user, gateways, rf):
    from django.core.handlers.wsgi import WSGIHandler
    from through import signed_headers

    at(view=lambda request: recheck(user) or HttpResponse("done"))
    headers = signed_headers("GET", "/view/")
    environ = rf.get("/view/", headers=headers).environ
    response = WSGIHandler()(environ, lambda status, fields: None)
    assert b"".join(response) == b"done"
    assert [heard(gateway) for gateway in gateways] == [[], []]
    response.close()
    assert [len(heard(gateway)) for gateway in gateways] == [1, 1]


# The admin


@pytest.fixture
def admin(with_admin, db):  # noqa: F811
    from django.contrib.admin.models import LogEntry

    with connection.schema_editor() as editor:
        editor.create_model(LogEntry)
    root = get_user_model().objects.create_superuser("root", password="x")
    browser = Through()
    browser.force_login(root)
    yield browser
    with connection.schema_editor() as editor:
        editor.delete_model(LogEntry)


def form_of(user, **changes):
    said = {
        "username": user.username,
        "is_active": "on",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


@pytest.fixture
def of_django(user):
    if get_user_model()._meta.label != "auth.User":
        pytest.skip("the admin of Django's own user")
    return f"/admin/auth/user/{user.pk}/"


def test_the_admin_deactivates(admin, user, of_django, both_heard):
    admin.post(f"{of_django}change/", form_of(user, is_active=None))
    said = {"user": str(user.pk), "code": 4001, "reason": "account deactivated"}
    both_heard(("/v1/revoke", said))


def test_the_admin_deletes_a_user(admin, user, of_django, both_heard):
    admin.post(f"{of_django}delete/", {"post": "yes"})
    both_heard(("/v1/revoke", {"user": str(user.pk), "code": 4001, "reason": "account deleted"}))


def test_the_admin_changes_groups(admin, user, of_django, both_heard):
    group = DjangosGroup.objects.create(name="staff")
    admin.post(f"{of_django}change/", form_of(user, groups=[group.pk]))
    both_heard(("/v1/recheck", {"user": str(user.pk)}))


def test_the_admin_renames_and_deletes_a_group(admin, both_heard):
    group = DjangosGroup.objects.create(name="staff")
    page = f"/admin/auth/group/{group.pk}/"
    admin.post(f"{page}change/", {"name": "team"})
    admin.post(f"{page}change/", {"name": "team", "permissions": [Permission.objects.first().pk]})
    admin.post(f"{page}delete/", {"post": "yes"})
    both_heard(("/v1/recheck", {"group": "staff"}), ("/v1/recheck", {"group": "team"}))


def test_the_admin_logs_out(admin, both_heard, settings):
    digest = session_digest(settings.GATEPOST["SECRET"].encode(), admin.cookies["sessionid"].value)
    admin.post("/admin/logout/")
    both_heard(("/v1/revoke", {"session": digest, "code": 4001, "reason": "logged out"}))


def test_a_session_can_be_rechecked_at_both(both_heard, settings):
    recheck(Session("a-key"))
    digest = session_digest(settings.GATEPOST["SECRET"].encode(), "a-key")
    both_heard(("/v1/recheck", {"session": digest}))
