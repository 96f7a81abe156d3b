//! Spans: what a collector of OpenTelemetry gets, and what it never does.

#[cfg(feature = "otel")]
mod exported;
#[cfg(not(feature = "otel"))]
mod left_out;
