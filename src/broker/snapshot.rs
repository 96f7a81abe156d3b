//! What the broker of a process that takes this one's place goes on with.
//!
//! The surprise: for a moment both number publications, each those that it takes itself, and tell each other of them. So the
//! new one leaves a gap: all that the old one still numbers comes before all that the new one does, and a client that
//! comes back from the old one, with whatever position, gets all of the new one's. It may get what it has already once more,
//! never less.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::Broker;
use super::history::HistorySnapshot;

/// So many numbers are left to the process before.
const GAP: u64 = 1_000_000;

/// A broker's history, and where it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct BrokerSnapshot {
    generation: u32,
    sequence: u64,
    history: HistorySnapshot,
}

impl BrokerSnapshot {
    /// Of a broker that goes on.
    pub fn of(broker: &Broker) -> Self {
        let state = broker.state.lock();
        let (sequence, held) = (state.sequence, state.history.held());
        drop(state);
        Self {
            generation: broker.generation(),
            sequence,
            history: held.snapshot(),
        }
    }

    /// Has a broker go on with it that has published nothing yet.
    pub fn inherit_to(self, broker: &Broker) {
        let mut state = broker.state.lock();
        broker.generation.store(self.generation, Ordering::Relaxed);
        state.sequence = self.sequence + GAP;
        state.history.inherit(self.history, self.generation);
        broker.delivered.store(state.sequence, Ordering::Release);
    }
}
