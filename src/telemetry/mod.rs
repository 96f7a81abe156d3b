//! Counters and the log, and what keeps the log from being flooded.

pub mod log;
pub mod metrics;
pub mod seldom;
