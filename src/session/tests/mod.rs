//! Live sessions with a scripted Django and, where time matters, a paused clock.

mod doubt;
mod ends;
mod follow;
mod grants;
mod leases;
mod schedule;
pub(crate) mod scripted;
