"""What happens in Django's test environment: nothing leaves, as with mails."""

import sys

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from gatepost import (
    Everyone,
    Session,
    anotify,
    aonline,
    arecheck,
    arevoke,
    backends,
    environment,
    notify,
    online,
    recheck,
    revoke,
)
from gatepost.backends import http
from gatepost.testing import assertNotified, outbox, recorded

pytestmark = pytest.mark.django_db(transaction=True)

REAL = "gatepost.backends.http.Backend"


@pytest.fixture(autouse=True)
def _production():
    """Nothing pretends to be production here."""


@pytest.fixture(params=["nothing named", "http named", "transactional outbox"])
def project(request, settings, monkeypatch, gateway):
    """A project whose own settings name a gateway that runs, in each way."""
    said = {
        "nothing named": {},
        "http named": {"BACKEND": REAL},
        "transactional outbox": {"OUTBOX": True},
    }[request.param]
    settings.GATEPOST = {"SECRET": settings.GATEPOST["SECRET"], "URL": gateway.url, **said}
    monkeypatch.setattr(backends, "_remembered", [])
    backends.remember_project()
    yield
    assert gateway.calls == []


def deactivate(user):
    user.is_active = False
    user.save()


def log_out(user):
    browser = Client()
    browser.force_login(user)
    browser.logout()


SAYS = {
    "notify": lambda user: notify(user, 1),
    "revoke": revoke,
    "recheck": recheck,
    "anotify": lambda user: async_to_sync(anotify)(user, 1),
    "arevoke": lambda user: async_to_sync(arevoke)(user),
    "arecheck": lambda user: async_to_sync(arecheck)(user),
    "delete": lambda user: user.delete(),
    "deactivate": deactivate,
    "groups": lambda user: user.groups.add(Group.objects.create(name="staff")),
    "logout": log_out,
}


@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
@pytest.mark.usefixtures("project")
def test_nothing_leaves_and_the_outbox_has_it(user, says):
    says(user)
    assert len(outbox) + len(outbox.revocations) + len(outbox.rechecks) == 1


@pytest.mark.usefixtures("project")
def test_what_a_channel_layer_sends_is_in_the_outbox_too(user):
    pytest.importorskip("channels")
    from gatepost.channels import GatepostChannelLayer

    layer = GatepostChannelLayer(UNWRAP=[])
    async_to_sync(layer.group_send)(f"user_{user.pk}", {"type": "a"})
    assertNotified(user, {"type": "a"})


@pytest.mark.usefixtures("project")
def test_nobody_is_online(user):
    assert online(user, [user.pk]) == {user.pk: 0}
    assert async_to_sync(aonline)(user) == {user.pk: 0}


@pytest.mark.usefixtures("project")
def test_an_operators_command_says_why_it_reaches_nobody():
    with pytest.raises(CommandError, match="no gateway is called in tests"):
        call_command("gateway_publish", "everyone", "{}")


@pytest.mark.parametrize("number", [1, 2])
def test_the_outbox_is_empty_at_first(number):
    notify(Everyone, number)
    assert [sent.frame for sent in outbox] == [number]


def test_a_session_needs_no_secret(settings, caplog):
    settings.GATEPOST = {}
    notify(Session("a-key"), 1)
    assertNotified(Session("a-key"), 1)
    assert caplog.messages == []


@pytest.mark.parametrize("backend", [REAL, http.Backend])
def test_a_test_chooses_the_gateway_expressly(settings, gateway, user, backend):
    settings.GATEPOST = {**settings.GATEPOST, "URL": gateway.url, "BACKEND": backend}
    notify(user, 1)
    assert [line["frame"] for line in gateway.publications] == [1]
    assert len(outbox) == 0


def test_what_a_test_changes_otherwise_chooses_no_gateway(settings, gateway, user):
    settings.GATEPOST = {**settings.GATEPOST, "URL": gateway.url, "TIMEOUT": 2}
    notify(user, 1)
    assert gateway.calls == []
    assert len(outbox) == 1


def test_recording_inside_of_a_chosen_gateway(settings, gateway, user):
    settings.GATEPOST = {**settings.GATEPOST, "URL": gateway.url, "BACKEND": REAL}
    with recorded():
        notify(user, 1)
        assertNotified(user, 1)
    assert gateway.calls == []


def test_a_locmem_mail_backend_is_no_test(monkeypatch):
    """A development server may have one, and mail.outbox with it."""
    assert environment.is_testing()
    monkeypatch.delattr(sys.modules["django.test.utils"]._TestState, "saved_data")
    monkeypatch.setattr(environment, "_runs_tests", False)
    assert mail.outbox is not None
    assert not environment.is_testing()
