//! A number for each client, in memory that never grows.
//!
//! Used where clients are paced. Nothing is ever forgotten or swept. A client's number is in the slot
//! that its keyed hash points to, which it may share with others: a crowd of attackers finds no
//! memory to fill, and no client can choose which others it shares a slot with.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::AtomicU64;

/// A number for each client.
#[derive(Debug)]
pub struct HashedSlots {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

impl HashedSlots {
    /// This many slots, all zero.
    pub fn new(count: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            slots: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The slot of a client.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the low bits choose the slot"
    )]
    pub fn of(&self, client: impl Hash) -> &AtomicU64 {
        &self.slots[self.hasher.hash_one(client) as usize % self.slots.len()]
    }
}
