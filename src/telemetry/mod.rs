//! Counters and the log, what its lines are about, and what keeps it from being flooded.

mod certificate_metrics;
mod history_metrics;
mod labels;
pub mod log;
pub mod metrics;
pub mod otel;
mod outbox_metrics;
pub mod seldom;
mod series;
pub mod span;
mod span_counters;
