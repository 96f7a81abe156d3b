"""Tests of a shop, as its author writes them with pytest-django."""

import urllib.request

import pytest

from gatepost import Group, notify
from gatepost.testing import assertNotified, assertNotNotified, outbox


@pytest.fixture
def ann(django_user_model, client):
    user = django_user_model.objects.create_user("ann")
    client.force_login(user)
    return user


def test_paying_tells_the_buyer_and_the_warehouse(client, ann, gatepost_outbox):
    client.get("/orders/7/pay/")
    assertNotified(ann, {"type": "order_paid", "order": 7})
    assertNotified(Group("warehouse"), containing={"order": 7}, times=1)
    assert len(gatepost_outbox) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, 2])
def test_nothing_leaves_and_each_test_begins_anew(django_user_model, number):
    bob = django_user_model.objects.create_user("bob")
    notify(bob, number)
    bob.delete()
    assert [sent.frame for sent in outbox] == [number]
    assert len(outbox.revocations) == 1


def test_cancelling_too_late_tells_nobody(client, ann, gatepost_outbox):
    client.get("/orders/7/cancel/")
    assertNotNotified()


def test_leaving_closes_the_sockets(client, ann, gatepost_outbox):
    client.get("/leave/")
    assert gatepost_outbox.revocations


def test_the_buyers_browser_is_told(client, ann, live_gateway):
    with live_gateway.connect(client=client) as browser:
        client.get("/orders/7/pay/")
        assert browser.receive() == {"type": "order_paid", "order": 7}


def test_the_buyers_browser_is_told_by_what_it_does_itself(client, ann, live_gateway):
    request = urllib.request.Request(f"{live_gateway.url}/orders/8/pay/")
    request.add_header("Cookie", f"sessionid={client.cookies['sessionid'].value}")
    with live_gateway.connect(client=client) as browser:
        with urllib.request.urlopen(request, context=live_gateway.ssl_context()) as page:
            assert page.read() == b"paid"
        assert browser.frames() == [{"type": "order_paid", "order": 8}]


def test_a_stranger_hears_nothing(live_gateway):
    assert live_gateway.connect().closed() == (4001, "not logged in")
