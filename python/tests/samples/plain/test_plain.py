from gatepost import Everyone, Session, notify
from gatepost.testing import assertNotified


def test_everyone_is_told(gatepost_outbox):
    notify(Everyone, {"type": "sale"})
    notify(Session("abc"), {"type": "hello"})
    assertNotified(Everyone, {"type": "sale"}, times=1)
    assertNotified(Session("abc"))


def test_each_test_has_an_outbox_of_its_own(gatepost_outbox):
    assert not gatepost_outbox
