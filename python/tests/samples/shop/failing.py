"""A test that fails, for what is shown then."""

from gatepost.testing import LiveGatewayTestCase


class BrowserTests(LiveGatewayTestCase):
    def test_a_stranger(self):
        self.live_gateway.connect().receive()
