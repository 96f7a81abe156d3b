"""The trace that a call to the gateway is a part of, where the project uses OpenTelemetry.

``client`` sends it: what is published is then inside of the span of the view that published it.
"""

import sys
from typing import Any


def traceparent() -> str | None:
    """Return where the current span is (W3C Trace Context); ``None`` where there is none."""
    # Who makes spans has imported it, and nobody else should have to.
    opentelemetry: Any = sys.modules.get("opentelemetry.trace")
    current = getattr(opentelemetry, "get_current_span", None)
    if current is None:
        return None
    at = current().get_span_context()
    if not at.is_valid:
        return None
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"
