//! Whose a request is, by which it queues.

use crate::net::block::AddressBlock;

/// Whose a request is, as far as queueing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requester {
    /// A session of which the upstream said whose it is; this tells it from others.
    Known([u8; 16]),
    /// Anybody else at this address.
    Other(AddressBlock),
}
