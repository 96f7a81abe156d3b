"""gatepost.testing: what is recorded, and what the assertions say."""

import datetime
import threading
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.test import Client, TestCase, TransactionTestCase, override_settings
from django.utils.translation import gettext_lazy

from gatepost import Connection, Everyone, Group, Session, anotify, notify, recheck, revoke
from gatepost.backends import locmem
from gatepost.testing import (
    GatepostTestMixin,
    assertNotified,
    assertNotNotified,
    assertRevoked,
    outbox,
)
from newsroom import producers
from newsroom import settings as newsroom

UNSENT = "Nothing was sent to anybody."


@pytest.fixture
def name(user):
    """How messages name the user."""
    return f"user {user.pk}"


def message(assertion, *args, **options):
    with pytest.raises(AssertionError) as raised:
        assertion(*args, **options)
    return str(raised.value)


# What the outbox holds


def test_it_holds_frames_in_order_with_their_options(gatepost_outbox, user):
    assert gatepost_outbox is outbox
    notify(user, {"when": datetime.date(2026, 1, 2)}, id="a", ttl=60, key="k", socket="/ws/")
    notify(Group("staff"), ["ü"], exclude="c1")
    first, second = gatepost_outbox
    assert (first.target, first.frame) == ({"user": str(user.pk)}, {"when": "2026-01-02"})
    assert (first.id, first.ttl, first.key, first.socket) == ("a", "60s", "k", "/ws/")
    assert (second.target, second.text, second.exclude) == ({"group": "staff"}, '["ü"]', "c1")
    assert gatepost_outbox[-1] == second
    assert gatepost_outbox[:1] == [first]
    assert len(gatepost_outbox) == 2


def test_it_tells_frames_from_revocations_and_rechecks(gatepost_outbox, user):
    revoke(user, reason="bye")
    recheck(user)
    assert not gatepost_outbox
    assert [call.reason for call in gatepost_outbox.revocations] == ["bye"]
    assert [call.who for call in gatepost_outbox.rechecks] == [{"user": str(user.pk)}]


def test_it_is_empty_at_the_beginning_and_when_cleared(gatepost_outbox, user):
    assert len(gatepost_outbox) == 0
    notify(user, 1)
    gatepost_outbox.clear()
    assert not gatepost_outbox
    notify(user, 2)
    assert [sent.frame for sent in gatepost_outbox] == [2]


def test_other_threads_send_to_the_same_outbox(gatepost_outbox):
    thread = threading.Thread(target=notify, args=(Everyone, 1))
    thread.start()
    thread.join()
    assert len(gatepost_outbox) == 1


def test_a_view_of_the_test_client_is_recorded(gatepost_outbox, db):
    Client().get("/notify/")
    assert [sent.frame for sent in gatepost_outbox] == [{"type": "notification"}]


class Rollback(Exception):
    pass


@pytest.mark.django_db
class TestInATestsOwnTransaction:
    """``django_db`` and TestCase never commit."""

    def test_what_would_be_committed_counts_as_sent(self, gatepost_outbox, user):
        with transaction.atomic():
            notify(user, 1)
            notify(user, 2)
        assert [sent.frame for sent in gatepost_outbox] == [1, 2]

    def test_what_is_rolled_back_does_not(self, gatepost_outbox, user):
        with transaction.atomic():
            notify(user, 1)
            with pytest.raises(Rollback), transaction.atomic():  # noqa: PT012 - both belong in it
                notify(user, 2)
                raise Rollback
            notify(user, 3)
        assert [sent.frame for sent in gatepost_outbox] == [1, 3]

    def test_what_waits_for_the_codes_own_transaction_waits(self, gatepost_outbox, user):
        with transaction.atomic():
            notify(user, 1)
            assert not gatepost_outbox
            assert message(assertNotified, user).endswith(
                "Calls that wait for the end of a transaction.atomic() around the test: 1."
            )
        assert len(gatepost_outbox) == 1

    def test_callbacks_that_a_test_runs_itself_send_nothing_twice(
        self, gatepost_outbox, user, django_capture_on_commit_callbacks
    ):
        with django_capture_on_commit_callbacks(execute=True):
            notify(user, 1)
            transaction.on_commit(lambda: notify(user, 2))
            assert len(gatepost_outbox) == 1
        assert [sent.frame for sent in gatepost_outbox] == [1, 2]

    def test_callbacks_of_the_project_that_did_not_run_are_named(self, gatepost_outbox, user):
        transaction.on_commit(lambda: notify(user, 1))
        assert message(assertNotified, user).endswith(
            f"{UNSENT}\nA TestCase never commits, so the project's own transaction.on_commit() (1"
            " here) runs only where the test wraps it in captureOnCommitCallbacks(execute=True)"
            " (pytest-django: django_capture_on_commit_callbacks)."
        )


@pytest.mark.django_db(transaction=True)
def test_where_the_test_commits_the_outbox_waits_for_it(gatepost_outbox, user):
    with transaction.atomic():
        notify(user, 1)
        assert not gatepost_outbox
    assert len(gatepost_outbox) == 1


# assertNotified


def test_it_returns_the_last_frame_that_fits(gatepost_outbox, user):
    for n in (1, 2):
        notify(user, {"type": "order", "n": n, "at": datetime.date(2026, 1, n)})
    notify(Everyone, {"type": "order", "n": 3})
    assert assertNotified(user).frame["n"] == 2
    assert assertNotified(user, containing={"n": 1}).frame["at"] == "2026-01-01"
    expected = {"type": gettext_lazy("order"), "n": 2, "at": datetime.date(2026, 1, 2)}
    assert assertNotified(user, expected).frame["n"] == 2
    assert assertNotified(Everyone, {"n": 3, "type": "order"})
    assertNotified(user, containing={"type": "order"}, times=2)
    assertNotNotified(user, containing={"n": 3})


def test_a_user_is_addressed_alone_or_among_others(gatepost_outbox, user, django_user_model):
    other = django_user_model.objects.create_user("bob", password="correct horse")
    nobody = django_user_model.objects.create_user("cem", password="correct horse")
    notify([user, other], 1)
    for target in (user, user.pk, str(user.pk), [other, user], [other]):
        assertNotified(target, 1)
    assertNotNotified(nobody)
    assertNotNotified([user, nobody])


@pytest.mark.parametrize("target", [Group("staff"), Everyone, Connection("c1"), Session("abc")])
def test_every_kind_of_target_can_be_asserted(gatepost_outbox, target, user):
    assertNotNotified(target)
    notify(target, 1)
    assertNotified(target, 1, times=1)
    assertNotNotified(user)


def test_nothing_sent_is_said(gatepost_outbox, user, name):
    assert message(assertNotified, user) == f"{name} was not notified.\n{UNSENT}"
    assert message(assertNotified, user, {"n": 1}) == (
        f'{name} was not notified with {{"n":1}}.\n{UNSENT}'
    )
    assert message(assertNotified, Everyone, containing={"n": 1}) == (
        f'everyone was not notified with a frame that has {{"n":1}}.\n{UNSENT}'
    )


def test_what_was_sent_to_others_is_listed(gatepost_outbox, user, name):
    notify(Group("staff"), {"n": 1})
    assert message(assertNotified, user) == (
        f'{name} was not notified.\nSent was:\n  1. to group staff: {{"n":1}}'
    )
    notify(Everyone, {"n": 2})
    notify(Session("abc"), {"n": 3})
    digest = outbox[-1].target["session"]
    assert message(assertNotified, user).endswith(
        "Sent were 3 frames:\n"
        '  1. to group staff: {"n":1}\n'
        '  2. to everyone: {"n":2}\n'
        f'  3. to session {digest[:8]}…: {{"n":3}}'
    )


def test_a_frame_that_differs_is_shown_beside_the_nearest(gatepost_outbox, user, name):
    notify(user, {"type": "other"})
    notify(user, {"type": "order", "n": 2, "title": "ü"})
    assert message(assertNotified, user, {"type": "order", "n": 1, "title": "ü"}) == (
        f'{name} was not notified with {{"type":"order","n":1,"title":"ü"}}.\n'
        "The nearest frame they were sent differs:\n"
        "    {\n"
        '  -   "n": 1,\n'
        '  +   "n": 2,\n'
        '      "title": "ü",\n'
        '      "type": "order"\n'
        "    }"
    )


def test_another_number_of_times_is_said(gatepost_outbox, user, name):
    notify(user, 1)
    notify(user, 1)
    assert message(assertNotified, user, 1, times=1).startswith(
        f"{name} was notified 2 times, not once with 1.\nSent were 2 frames:"
    )
    assert message(assertNotified, user, 2, times=3).startswith(f"{name} was not notified with 2.")
    with pytest.raises(ValueError, match="assertNotNotified"):
        assertNotified(user, times=0)


def test_a_long_list_is_cut(gatepost_outbox, user, name):
    for n in range(25):
        notify(Everyone, n)
    said = message(assertNotified, user)
    assert "Sent were 25 frames, the last 10 of which are:\n  16. to everyone: 15\n" in said
    assert said.endswith("  25. to everyone: 24")


def test_somebody_who_should_not_have_been_notified_is_named(gatepost_outbox, user, name):
    assertNotNotified()
    notify(user, {"n": 1})
    listed = f'Sent was:\n  1. to {name}: {{"n":1}}'
    assert message(assertNotNotified, user) == (
        f"{name} was notified, but should not have been.\n{listed}"
    )
    assert message(assertNotNotified) == (
        f"somebody was notified, but should not have been.\n{listed}"
    )
    assertNotNotified(user, {"n": 2})
    assertNotNotified(Everyone)


def test_a_revocation_is_asserted(gatepost_outbox, user, name):
    assert message(assertRevoked, user) == f"no sockets of {name} were closed.\nNobody's were."
    revoke(user, code=4001, reason="bye")
    assert assertRevoked(user).reason == "bye"
    assertRevoked(user, code=4001)
    assert message(assertRevoked, user, code=1008) == (
        f"no sockets of {name} were closed with code 1008.\n"
        f"Closed were those of\n  1. {name}, 4001 'bye'"
    )


def test_nobody_is_no_target(gatepost_outbox):
    for nobody in (AnonymousUser(), []):
        with pytest.raises(ValueError, match="addresses nobody"):
            assertNotified(nobody)


def test_without_recording_it_says_how_to_record(user):
    said = message(assertNotified, user)
    assert said.startswith("nothing is recorded, because GATEPOST['BACKEND'] is None")
    assert "GatepostTestMixin or the pytest fixture gatepost_outbox" in said


# GatepostTestMixin


class TestMixin(GatepostTestMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        notify(Everyone, "from setUpTestData")

    def setUp(self):
        """Without its parent's, as happens."""
        notify(Everyone, "from setUp")

    def test_a_test_begins_with_what_its_own_setup_sent(self):
        assert [sent.frame for sent in self.gatepost_outbox] == ["from setUp"]

    def test_a_test_sees_nothing_of_another(self):
        self.assertNotified(Everyone, "from setUp", times=1)
        self.assertNotNotified(Group("staff"))
        notify(Everyone, "more")

    def test_a_session_is_a_target_without_any_secret(self):
        notify(Session("abc"), 1)
        self.assertNotified(Session("abc"), 1)


class TestAsync(GatepostTestMixin, TestCase):
    async def test_an_async_test_sees_what_its_own_transaction_holds_back(self):
        await anotify(Everyone, 1)
        await self._in_a_transaction(2)
        assert [sent.frame for sent in self.gatepost_outbox] == [1, 2]
        self.assertNotified(Everyone, 2)

    @sync_to_async
    def _in_a_transaction(self, frame):
        with transaction.atomic():
            notify(Everyone, frame)
        with suppress(Rollback), transaction.atomic():
            notify(Everyone, "rolled back")
            raise Rollback

    async def test_an_async_view_is_recorded(self):
        await self.async_client.get("/notify/")
        self.assertNotified(Everyone, {"type": "notification"}, times=1)


@override_settings(GATEPOST={"URL": "http://127.0.0.1:1"})
class TestMixinOnAClassWithSettings(GatepostTestMixin, TransactionTestCase):
    def test_a_class_that_overrides_gatepost_is_recorded_all_the_same(self):
        notify(Session("abc"), 1)
        self.assertNotified(Session("abc"), 1)


def test_after_a_recorded_test_nothing_is_left(user):
    assert not locmem.calls()


@pytest.mark.django_db
def test_a_channels_producer_is_recorded_as_notify_is(gatepost_outbox, settings, user):
    settings.CHANNEL_LAYERS = newsroom.CHANNEL_LAYERS
    producers.tell(user, "hello")
    sent = assertNotified(user, {"message": "hello"}, times=1)
    assert sent.text == '{"message": "hello"}'
