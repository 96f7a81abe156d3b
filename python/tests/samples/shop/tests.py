"""Tests of a shop, as its author writes them with Django's own runner."""

from django.contrib.auth.models import User
from django.core import mail
from django.test import TestCase, TransactionTestCase

from gatepost import Group, notify, online
from gatepost.testing import GatepostTestMixin, LiveGatewayTestCase, assertNotified, outbox


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


class PlainTests(TestCase):
    """Nothing of Gatepost's is asked for, and still nothing leaves."""

    @classmethod
    def setUpTestData(cls):
        cls.ann = User.objects.create_user("ann")
        notify(cls.ann, "welcome")

    def test_what_is_sent(self):
        self.client.force_login(self.ann)
        with self.captureOnCommitCallbacks(execute=True):
            self.client.get("/orders/7/pay/")
        assertNotified(self.ann, {"type": "order_paid", "order": 7})
        self.assertEqual(len(outbox), 2)
        self.assertEqual(online(self.ann), {self.ann.pk: 0})

    def test_who_is_deactivated_and_deleted(self):
        self.ann.is_active = False
        self.ann.save()
        self.client.get("/leave/")
        self.ann.delete()
        self.assertEqual(len(outbox), 0)
        self.assertEqual(len(outbox.revocations), 2)


class CommittingTests(TransactionTestCase):
    def test_what_is_committed(self):
        ann = User.objects.create_user("ann")
        notify(ann, 1)
        ann.delete()
        self.assertEqual([sent.frame for sent in outbox], [1])
        self.assertEqual(len(outbox.revocations), 1)

    def test_the_outbox_is_empty_at_first(self):
        self.assertEqual(len(outbox), 0)
        mail.outbox = []  # As Django's documentation has it, in the midst of a test.
        notify("7", 1)
        mail.outbox = []
        self.assertEqual(len(outbox), 1)


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
