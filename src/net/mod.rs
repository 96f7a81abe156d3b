//! Listeners, this machine's addresses and descriptors, and the orderly end of everything that
//! runs.

pub mod block;
pub mod descriptors;
pub mod drain;
pub mod interfaces;
pub mod listener;
mod patience;
pub mod stream;
