//! Counters and the log, what its lines are about, and what keeps it from being flooded.

pub mod log;
pub mod metrics;
pub mod seldom;
pub mod span;
