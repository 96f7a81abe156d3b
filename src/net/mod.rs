//! Listeners, signals and the orderly end of everything that runs.

pub mod drain;
