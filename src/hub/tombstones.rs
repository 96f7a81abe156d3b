//! Revocations of the last minutes, which handshakes under way and leases must not slip past.
//!
//! Written by [`Hub::close`](super::Hub::close), read when a connection registers or a lease is used. The surprise: a
//! session that ended (4001) stays refused for the whole minute, because Django signals a logout
//! before it deletes the session, and an auth call in between still says "logged in".

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::registry;
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::publication::Audience;

/// How long a session that ended stays refused, and how long any revocation is remembered at least:
/// longer than any handshake may take.
const KEPT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Tombstones {
    stones: Mutex<Stones>,
    remembered: Duration,
}

#[derive(Debug, Default)]
struct Stones {
    by_audience: HashMap<Audience, Stone>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Stone {
    at: Instant,
    reason: CloseReason,
}

impl Tombstones {
    /// Remembers revocations for so long, and at least for a minute.
    pub(super) fn new(remembered: Duration) -> Self {
        Self {
            stones: Mutex::default(),
            remembered: remembered.max(KEPT),
        }
    }

    pub(super) fn record(&self, audience: &Audience, reason: &CloseReason) {
        let now = Instant::now();
        let mut stones = self.lock();
        stones.sweep(now, self.remembered);
        stones.by_audience.insert(
            audience.clone(),
            Stone {
                at: now,
                reason: reason.clone(),
            },
        );
    }

    /// The reason for which an identity counts no more of which Django was asked at `asked`.
    pub(super) fn of(&self, identity: &Identity, asked: Instant) -> Option<CloseReason> {
        let stones = self.lock();
        if stones.by_audience.is_empty() {
            return None;
        }
        registry::audiences(identity)
            .chain([Audience::Everyone])
            .find_map(|audience| {
                let stone = stones.by_audience.get(&audience)?;
                let ended = matches!(audience, Audience::Session(_)) && stone.reason.code() == 4001;
                let refused = stone.at >= asked || ended && stone.at.elapsed() < KEPT;
                refused.then(|| stone.reason.clone())
            })
    }

    fn lock(&self) -> MutexGuard<'_, Stones> {
        self.stones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stones {
    /// Forgets what is old, at most once a second: a sweep walks all.
    fn sweep(&mut self, now: Instant, remembered: Duration) {
        if self
            .swept
            .is_some_and(|swept| now - swept < Duration::from_secs(1))
        {
            return;
        }
        self.swept = Some(now);
        self.by_audience
            .retain(|_, stone| now - stone.at < remembered);
    }
}
