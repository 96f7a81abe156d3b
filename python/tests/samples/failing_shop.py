"""Tests that fail, for what is shown then."""

import pytest
from django.test import TestCase

from gatepost.testing import GatepostTestMixin, LiveGatewayTestCase, assertNotified


@pytest.fixture
def ann(django_user_model, client):
    user = django_user_model.objects.create_user("ann")
    client.force_login(user)
    return user


def test_with_the_outbox(client, ann, gatepost_outbox):
    client.get("/orders/7/pay/")
    assertNotified(ann, {"type": "order_paid", "order": 8})


def test_with_the_live_gateway(client, ann, live_gateway):
    with live_gateway.connect(client=client) as browser:
        browser.receive(timeout=0.01)


class TestCaseOfDjango(GatepostTestMixin, TestCase):
    def test_with_the_mixin(self):
        self.assertNotified("7")


class TestLive(LiveGatewayTestCase):
    def test_with_the_live_gateway(self):
        with self.live_gateway.connect() as browser:
            browser.receive()
