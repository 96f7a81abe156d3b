//! Numbers publications and hands them to the hub, each once.
//!
//! `publish` calls [`Broker::publish`] and answers with the [`Receipt`]. The surprise: one lock is held
//! from numbering to the end of the fan-out, for all audiences. A publication may name many audiences
//! and all share one sequence, so locks by audience could neither keep the order of two overlapping
//! ones nor the promise that every socket sees concurrent publications in the same order. The lock is
//! short, since the hub only queues: measured, 0.5 µs for a user with one connection, 1 to 4 ms for
//! everyone at 10,000 connections.

mod receipt;
mod remembered;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::hub::{Delivery, Hub, TopicRevocation};
use crate::ids;
use crate::publication::{Position, Publication};
pub use receipt::Receipt;
use remembered::{Fingerprints, Remembered};

/// The broker of a single gateway: it keeps nothing beyond its process.
#[derive(Debug)]
pub struct Broker {
    hub: Arc<Hub>,
    generation: u32,
    fingerprints: Fingerprints,
    state: Mutex<BrokerState>,
}

#[derive(Debug)]
struct BrokerState {
    sequence: u64,
    remembered: Remembered,
}

impl Broker {
    /// A broker that delivers to `hub` and remembers the ids of publications for `idempotency`.
    pub fn new(hub: Arc<Hub>, idempotency: Duration) -> Self {
        Self {
            hub,
            // Tells this process's numbering from that of the process before it.
            generation: u32::from_le_bytes(ids::random()),
            fingerprints: Fingerprints::default(),
            state: Mutex::new(BrokerState {
                sequence: 0,
                remembered: Remembered::new(idempotency),
            }),
        }
    }

    /// Publishes, unless the same `id` was published to the same audiences a short time ago.
    ///
    /// The order is: number, remember, fan out, answer; a retry can never be told "duplicate" of
    /// something that was not taken.
    pub fn publish(&self, publication: &Publication, id: Option<&str>) -> Receipt {
        let fingerprint = id.map(|id| self.fingerprints.of(id, &publication.to));
        let now = Instant::now();
        // Nothing panics under the lock; if it ever did, the sequence would still be good.
        let mut state = self.state.lock();
        if let Some(receipt) = fingerprint.and_then(|known| state.remembered.find(known, now)) {
            return Receipt {
                duplicate: true,
                ..receipt
            };
        }
        state.sequence += 1;
        let mut receipt = Receipt {
            position: Position {
                generation: self.generation,
                sequence: state.sequence,
            },
            delivery: Delivery::default(),
            duplicate: false,
        };
        if let Some(fingerprint) = fingerprint {
            state.remembered.insert(fingerprint, receipt, now);
        }
        receipt.delivery = self.hub.deliver(publication);
        if let Some(fingerprint) = fingerprint {
            state.remembered.amend(fingerprint, receipt);
        }
        receipt
    }

    /// Takes a topic away. Whatever is published from then on, nobody hears it who lost it. Returns how many
    /// connections did.
    pub fn revoke_topic(&self, revocation: &TopicRevocation) -> usize {
        let _nothing_is_published = self.state.lock();
        self.hub.revoke_topic(revocation)
    }

    /// To whom it delivers.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}

#[cfg(test)]
mod tests;
