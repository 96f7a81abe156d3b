//! Spans: what a collector of OpenTelemetry gets, and what it never does.

#[cfg(feature = "otel")]
mod exported;
#[cfg(feature = "otel")]
mod handshakes;
#[cfg(not(feature = "otel"))]
mod left_out;
#[cfg(feature = "otel")]
mod publications;
