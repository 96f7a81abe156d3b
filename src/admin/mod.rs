//! What operators ask the internal listener, health and metrics, and what they order: maintenance, a pause, a reload.
//!
//! What is asked needs no secret, and tells of nobody who is connected; orders come through `publish`, which lets
//! nobody else give them.

pub mod health;
pub mod maintenance;
pub mod metrics;
pub mod operations;
pub mod pause;
pub mod reload;
