"""A user that changes: whoever is no longer allowed loses the sockets, and nobody else."""

import json

import pytest
from django.apps import apps
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gatepost import recheck, signals
from gatepost.digest import session_digest
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rechecks(gateway):
    def rechecks():
        return [json.loads(call.body) for call in gateway.calls if call.path == "/v1/recheck"]

    return rechecks


def test_a_saved_user_is_asked_about_again_after_the_commit(gateway, user, rechecks):
    with transaction.atomic():
        user.set_password("another one")
        user.save()
        assert gateway.calls == []
    assert rechecks() == [{"user": str(user.pk)}]
    assert gateway.calls[0].signature_holds


def test_a_rollback_asks_nothing(gateway, user):
    try:
        with transaction.atomic():
            user.save()
            raise RuntimeError
    except RuntimeError:
        assert gateway.calls == []


@pytest.mark.parametrize("fields", [["password"], ["is_staff", "last_login"], ["email"]])
def test_some_fields_are_enough(user, rechecks, fields):
    user.save(update_fields=fields)
    assert rechecks() == [{"user": str(user.pk)}]


@pytest.mark.parametrize("fields", [["last_login"], []])
def test_last_login_alone_says_nothing(gateway, user, fields):
    user.save(update_fields=fields)
    assert gateway.calls == []


def test_a_login_says_nothing(gateway, user):
    browser = Client()
    assert authenticate(username="ann", password="correct horse") == user
    browser.force_login(user)
    assert get_user_model().objects.get(pk=user.pk).last_login is not None
    assert gateway.calls == []


def test_a_new_user_says_nothing(gateway):
    get_user_model().objects.create_user("bob")
    assert gateway.calls == []


def test_a_deactivated_user_loses_the_sockets(gateway, user):
    user.is_active = False
    user.save()
    expected = {"user": str(user.pk), "code": 4001, "reason": "account deactivated"}
    assert gateway.revocations == [expected]


def test_a_deleted_user_loses_the_sockets_after_the_commit(gateway, user):
    pk = str(user.pk)
    with transaction.atomic():
        user.delete()
        assert gateway.calls == []
    assert gateway.revocations == [{"user": pk, "code": 4001, "reason": "account deleted"}]


def test_several_deleted_users_do(gateway, user):
    other = get_user_model().objects.create_user("bob")
    get_user_model().objects.all().delete()
    assert {said["user"] for said in gateway.revocations} == {str(user.pk), str(other.pk)}


def test_a_queryset_update_tells_nobody(gateway, user):
    """Django has no signal for it: the gateway's own re-validation finds it."""
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)
    assert gateway.calls == []


def test_another_model_says_nothing(gateway):
    note = Note.objects.create()
    note.save()
    note.delete()
    assert gateway.calls == []


def test_it_can_be_switched_off(gateway, user, settings):
    settings.GATEPOST = {**settings.GATEPOST, "RECHECK_ON_USER_SAVE": False}
    group = Group.objects.create(name="staff")
    user.groups.add(group)
    group.user_set.clear()
    user.save()
    user.delete()
    assert gateway.calls == []


# Groups


@pytest.fixture
def group(db):
    return Group.objects.create(name="staff")


def test_a_users_groups(user, group, rechecks):
    user.groups.add(group)
    user.groups.remove(group)
    user.groups.set([group])
    user.groups.clear()
    assert rechecks() == [{"user": str(user.pk)}] * 4


def test_a_groups_users(user, group, rechecks):
    group.user_set.add(user)
    group.user_set.remove(user)
    group.user_set.set([user])
    group.user_set.clear()
    assert rechecks() == [{"user": str(user.pk)}] * 4


def test_nothing_changed_says_nothing(gateway, user, group):
    user.groups.add(group)
    before = len(gateway.calls)
    group.user_set.add(user)
    assert len(gateway.calls) == before


# What Django must not lose by it


def test_sessions_are_still_deleted_without_being_loaded(log_in):
    """A receiver of every model's post_delete would make clearsessions load each session."""
    log_in()
    Session.objects.update(expire_date=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        call_command("clearsessions")
    kinds = [query["sql"].split()[0] for query in queries]
    assert kinds.count("DELETE") == 1
    assert "SELECT" not in kinds


def test_only_users_are_listened_to():
    user_model = get_user_model()
    for model in apps.get_models():
        heard = issubclass(model, user_model)
        assert post_delete.has_listeners(model) == heard, model
        assert (signals.user_saved in receivers(model)) == heard, model


def receivers(model):
    found = post_save._live_receivers(model)
    return [one for part in found for one in (part if isinstance(part, list) else [part])]


# recheck


def test_the_gateway_is_not_waited_for(gateway, user):
    """It asks Django, which may have no worker but the one that calls."""
    recheck(user)
    assert gateway.calls[0].headers["Prefer"] == "respond-async"


def test_a_session_can_be_rechecked(rechecks, settings, log_in):
    from gatepost import Session as Target

    key = log_in().cookies["sessionid"].value
    recheck(Target(key))
    digest = session_digest(settings.GATEPOST["SECRET"].encode(), key)
    assert rechecks() == [{"session": digest}]


def test_only_users_and_sessions_can_be_rechecked():
    from gatepost import Everyone

    with pytest.raises(TypeError, match=r"recheck\(\) takes a user, users or a Session"):
        recheck(Everyone)
