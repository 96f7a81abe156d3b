from gatepost import Everyone, Session, notify
from gatepost.testing import assertNotified, outbox


def test_nothing_leaves_without_a_fixture():
    notify(Everyone, {"type": "sale"})
    assert [sent.frame for sent in outbox] == [{"type": "sale"}]


def test_the_next_test_begins_without_it():
    assert not outbox


def test_everyone_is_told(gatepost_outbox):
    notify(Everyone, {"type": "sale"})
    notify(Session("abc"), {"type": "hello"})
    assertNotified(Everyone, {"type": "sale"}, times=1)
    assertNotified(Session("abc"))


def test_each_test_has_an_outbox_of_its_own(gatepost_outbox):
    assert not gatepost_outbox
