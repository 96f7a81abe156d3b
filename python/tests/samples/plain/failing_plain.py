def test_a_live_gateway(live_gateway):
    assert live_gateway
