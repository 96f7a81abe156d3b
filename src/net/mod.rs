//! Listeners, this machine's addresses and descriptors, what one address may have, and the orderly
//! end of everything that runs.

pub mod address_rate;
pub mod backoff;
pub mod block;
pub mod descriptors;
pub mod drain;
pub mod gcra;
pub mod hashed_slots;
pub mod inherited;
pub mod interfaces;
pub mod jitter;
mod listen_error;
pub mod listener;
pub mod passed;
mod patience;
pub mod per_address;
pub mod proxy_protocol;
mod socket_file;
pub mod stream;
