//! Counters and the log.

pub mod metrics;
