"""Calls to the gateway are inside of the span that is current, with the real OpenTelemetry."""

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from gatepost import Everyone, notify

pytestmark = pytest.mark.django_db(transaction=True)


def say_inside_of_a_span(sampler=ALWAYS_ON):
    tracer = TracerProvider(sampler).get_tracer("shop")
    with tracer.start_as_current_span("save") as span:
        notify(Everyone, {"n": 1})
    return span.get_span_context()


@pytest.mark.parametrize(("sampler", "sampled"), [(ALWAYS_ON, 1), (ALWAYS_OFF, 0)])
def test_a_call_is_inside_of_the_current_span(gateway, sampler, sampled):
    at = say_inside_of_a_span(sampler)
    (call,) = gateway.calls
    place, flags = call.headers["traceparent"].rsplit("-", 1)
    assert place == f"00-{at.trace_id:032x}-{at.span_id:016x}"
    assert int(flags, 16) & 1 == sampled
    assert call.signature_holds


def test_without_a_span_no_trace_is_named(gateway):
    notify(Everyone, {"n": 1})
    assert "traceparent" not in gateway.calls[0].headers


def test_without_opentelemetry_no_trace_is_named(gateway, monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    say_inside_of_a_span()
    assert "traceparent" not in gateway.calls[0].headers
