"""Tests of a shop, as its author writes them with Django's own runner."""

from django.contrib.auth.models import User
from django.test import TestCase

from gatepost import Group
from gatepost.testing import GatepostTestMixin, LiveGatewayTestCase


class PaymentTests(GatepostTestMixin, TestCase):
    def setUp(self):
        self.ann = User.objects.create_user("ann")
        self.client.force_login(self.ann)

    def test_paying_tells_the_buyer_and_the_warehouse(self):
        self.client.get("/orders/7/pay/")
        self.assertNotified(self.ann, {"type": "order_paid", "order": 7})
        self.assertNotified(Group("warehouse"), containing={"order": 7}, times=1)
        self.assertEqual(len(self.gatepost_outbox), 2)

    def test_cancelling_too_late_tells_nobody(self):
        self.client.get("/orders/7/cancel/")
        self.assertNotNotified()

    def test_leaving_closes_the_sockets(self):
        self.client.get("/leave/")
        self.assertEqual(len(self.gatepost_outbox.revocations), 1)


class BrowserTests(LiveGatewayTestCase):
    def setUp(self):
        self.ann = User.objects.create_user("ann")
        self.client.force_login(self.ann)

    def test_the_buyers_browser_is_told(self):
        with self.live_gateway.connect(client=self.client) as browser:
            self.client.get("/orders/7/pay/")
            self.assertEqual(browser.receive(), {"type": "order_paid", "order": 7})

    def test_leaving_closes_the_sockets(self):
        browser = self.live_gateway.connect(client=self.client)
        self.client.get("/leave/")
        self.assertEqual(browser.closed(), (4001, "logged out"))
