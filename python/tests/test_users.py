"""A user that changes: one that is no longer allowed loses the sockets, and no other does."""

import json

import django
import pytest
from django.apps import apps
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save, pre_delete
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gatepost import recheck
from gatepost.sending import changes
from gatepost.signing.digest import session_digest
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
            user.set_password("another one")
            user.save()
            raise RuntimeError
    except RuntimeError:
        assert gateway.calls == []


# Which saves matter


def test_what_the_answers_do_not_depend_on_asks_nothing(gateway, user):
    """Sites keep such things with each request."""
    user.first_name, user.date_joined, user.is_staff = "Ann", timezone.now(), True
    user.save(update_fields=["first_name", "date_joined", "is_staff"])
    user.save()
    get_user_model().objects.get(pk=user.pk).save()
    get_user_model().objects.only("email").get(pk=user.pk).save()
    assert gateway.calls == []


@pytest.mark.parametrize("options", [{}, {"update_fields": ["password"]}])
def test_a_new_password_asks_once(user, rechecks, options):
    user.set_password("another one")
    user.save(**options)
    user.save(**options)
    assert rechecks() == [{"user": str(user.pk)}]


def test_a_change_that_is_not_saved_asks_nothing(gateway, user):
    user.set_password("another one")
    user.save(update_fields=["email"])
    assert gateway.calls == []


def test_what_another_process_changed_does_not_hide_a_change(user, rechecks):
    """The object looks as it was loaded, but the row was another one meanwhile."""
    before = user.password
    get_user_model().objects.filter(pk=user.pk).update(password="changed elsewhere")
    user.refresh_from_db()
    user.password = before
    user.save()
    assert rechecks() == [{"user": str(user.pk)}]


def test_an_object_made_by_hand_is_no_loaded_one(user, rechecks):
    model = get_user_model()
    fields = {field.attname: getattr(user, field.attname) for field in model._meta.concrete_fields}
    if django.VERSION < (5, 0) and model._meta.pk.has_default():
        pytest.skip("Django 4.2 always inserts an object made by hand whose key has a default")
    model(**fields).save(force_update=True)
    assert rechecks() == [{"user": str(user.pk)}]


def test_a_deferred_field_that_is_set_may_be_another(user, gateway):
    deferred = get_user_model().objects.only("email").get(pk=user.pk)
    deferred.is_active = False
    deferred.save()
    assert len(gateway.revocations) == 1


def groups_of(user):
    return ["staff"] if user.is_staff else []


def resolver(request):
    return None


OWN_CODE = [{"GROUPS": groups_of}, {"USER_RESOLVER": resolver}]


@pytest.mark.parametrize("own", OWN_CODE)
def test_with_code_of_ones_own_all_but_times_may_matter(user, rechecks, gateway, settings, own):
    settings.GATEPOST = {**settings.GATEPOST, **own}
    user.date_joined = timezone.now()
    user.save()
    user.save(update_fields=["last_login", "date_joined"])
    assert gateway.calls == []
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    assert rechecks() == [{"user": str(user.pk)}]


def test_a_project_may_say_which_fields_matter(user, rechecks, settings):
    said = {"GROUPS": groups_of, "RECHECK_ON_USER_SAVE": ["is_staff"]}
    settings.GATEPOST = {**settings.GATEPOST, **said}
    user.email = "ann@example.org"
    user.save()
    assert rechecks() == []
    user.is_staff = True
    user.save()
    user.set_password("another one")
    user.save()
    assert rechecks() == [{"user": str(user.pk)}] * 2


def test_last_login_alone_says_nothing(gateway, user):
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])
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
    # Its members may be many; the gateway knows them.
    assert rechecks() == [{"user": str(user.pk)}] * 3 + [{"group": "staff"}]


def rename(group):
    group.name = "team"
    group.save()


def rename_by_hand(group):
    Group(pk=group.pk, name="team").save()


def rename_alone(group):
    group.name = "team"
    group.save(update_fields=["name"])


CHANGES = {
    "deleted": lambda group: group.delete(),
    "deleted by a queryset": lambda group: Group.objects.filter(name="staff").delete(),
    "renamed": rename,
    "renamed by its field": rename_alone,
    "renamed by an object made by hand": rename_by_hand,
    "replaced": lambda group: Group.objects.update_or_create(pk=group.pk, defaults={"name": "x"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_who_was_in_a_group_is_asked_about(user, group, rechecks, gateway, change):
    user.groups.add(group)
    before = len(rechecks())
    with transaction.atomic():
        change(group)
        assert len(rechecks()) == before
    assert rechecks()[before:] == [{"group": "staff"}]


def test_a_group_that_keeps_its_name_asks_nothing(user, group, gateway):
    user.groups.add(group)
    before = len(gateway.calls)
    group.save()
    group.permissions.set([])
    Group.objects.create(name="another")
    assert len(gateway.calls) == before


def test_with_a_function_for_groups_the_members_are_named_in_few_calls(
    user, group, rechecks, settings
):
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": groups_of}
    model = get_user_model()
    model.objects.bulk_create(model(username=f"user-{n}") for n in range(3))
    group.user_set.set(model.objects.all())
    before = len(rechecks())
    rename(group)
    (said,) = rechecks()[before:]
    assert sorted(said["users"]) == sorted(str(one.pk) for one in model.objects.all())


def test_a_hundred_thousand_members_are_one_call_and_no_row(user, group, rechecks):
    user.groups.add(group)
    before = len(rechecks())
    with CaptureQueriesContext(connection) as queries:
        rename(group)
    assert len(rechecks()) == before + 1
    assert not any("user_groups" in query["sql"] for query in queries)
    assert len(queries) == 2


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
        assert post_delete.has_listeners(model) == issubclass(model, user_model), model
        assert (changes.user_saved in receivers(model)) == issubclass(model, user_model), model
        assert pre_delete.has_listeners(model) == issubclass(model, Group), model


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

    with pytest.raises(TypeError, match=r"recheck\(\) takes a user, users, a Group or a Session"):
        recheck(Everyone)
