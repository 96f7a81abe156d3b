//! When a session takes another one's place.

use std::time::Instant;

use crate::close::CloseReason;

/// When another session takes one's place, and the reason for late handshakes with the old one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superseding<'a> {
    pub(super) at: Instant,
    pub(super) ended: &'a CloseReason,
}
