import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.models import Group as DjangoGroup
from django.test import Client
from django.utils.functional import SimpleLazyObject

from gatepost import Connection, Everyone, Group, Session
from gatepost.sending.targets import audience
from gatepost.signing.digest import session_digest
from project.people.models import Note

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(user):
    return [user, *(get_user_model().objects.create_user(name) for name in ("bob", "eve"))]


def test_a_user_is_named_as_the_session_names_it(user, log_in):
    assert audience(user) == {"user": log_in().session["_auth_user_id"]}
    assert audience(SimpleLazyObject(lambda: user)) == audience(user)


def test_a_primary_key_is_as_good_as_its_user(user):
    assert audience(user.pk) == audience(user)
    assert audience(str(user.pk)) == audience(user)


def test_keys_are_spelled_as_django_spells_them(user):
    if isinstance(user.pk, uuid.UUID):
        assert audience(user.pk.hex.upper()) == audience(user)
    else:
        assert audience(f"0{user.pk}") == audience(user)


def test_several_are_several(people):
    expected = {"users": [str(person.pk) for person in people]}
    assert audience(people) == expected
    assert audience(tuple(person.pk for person in people)) == expected
    assert audience(person for person in people) == expected
    assert audience([*people, people[0].pk]) == expected
    assert set(audience(set(people))["users"]) == set(expected["users"])
    assert audience(people[:1]) == {"users": [str(people[0].pk)]}


def test_a_queryset_is_asked_for_its_keys_alone(people, django_assert_num_queries):
    users = get_user_model().objects.order_by("date_joined")
    expected = {"users": [str(person.pk) for person in people]}
    with django_assert_num_queries(1) as queries:
        assert audience(users) == expected
    assert "password" not in queries.captured_queries[0]["sql"]
    assert audience(users.values_list("pk", flat=True)) == expected
    assert audience(users[:2]) == {"users": expected["users"][:2]}
    assert audience(users.none()) is None
    assert len(users) == 3
    with django_assert_num_queries(0):
        assert audience(users) == expected


def test_groups_connections_and_everyone():
    assert audience(Group("staff")) == {"group": "staff"}
    assert audience(Connection("c-1")) == {"connection": "c-1"}
    assert audience(Everyone) == {"everyone": True}


def test_a_session_is_named_by_its_digest_alone(log_in, settings):
    browser = log_in()
    request = browser.get("/").wsgi_request
    key = browser.cookies["sessionid"].value
    digest = session_digest(settings.GATEPOST["SECRET"].encode(), key)
    assert audience(Session(request)) == audience(Session(key)) == {"session": digest}
    assert key not in repr(Session(key)) + str(Session(key))


def test_nobody():
    assert audience([]) is None
    assert audience([AnonymousUser()]) is None
    assert audience(AnonymousUser()) is None
    assert audience(SimpleLazyObject(AnonymousUser)) is None
    assert audience(get_user_model()(pk=None)) is None
    assert audience(Session(Client().get("/").wsgi_request)) is None


@pytest.mark.parametrize("target", [None, True, b"1", {"user": "1"}, 1.5, object(), [None], [[1]]])
def test_what_is_no_target_is_refused(target):
    with pytest.raises(TypeError, match="cannot notify"):
        audience(target)


def test_another_model_is_not_taken_for_a_user_of_the_same_key(user):
    """Its key may be somebody's."""
    for other in (Note(pk=1), [DjangoGroup(pk=1, name="staff")], [Note(pk=1)]):
        with pytest.raises(TypeError, match="cannot notify"):
            audience(other)
    Note.objects.create()
    with pytest.raises(TypeError, match="cannot notify Note"):
        audience(Note.objects.all())


def test_a_key_that_no_user_can_have_is_refused():
    with pytest.raises(ValueError, match="'user:42' is not a primary key of"):
        audience("user:42")


@pytest.mark.parametrize("name", ["", None, 1])
def test_a_group_has_a_name(name):
    with pytest.raises(TypeError, match="name of a group"):
        Group(name)


@pytest.mark.parametrize("wrong", [1, object()])
def test_a_session_is_a_request_or_a_key(wrong):
    with pytest.raises(TypeError, match="request"):
        Session(wrong)
