//! What operators ask the internal listener: health and metrics. None of it needs the secret, none of
//! it tells who is connected.

pub mod health;
pub mod metrics;
