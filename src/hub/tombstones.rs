//! Revocations of the last minute, which handshakes under way must not slip past.
//!
//! Written by [`Hub::close`](super::Hub::close), read when a connection registers. The surprise: a
//! session that ended (4001) stays refused for the whole minute, because Django signals a logout
//! before it deletes the session, and an auth call in between still says "logged in".

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Member, registry};
use crate::close::CloseReason;
use crate::publication::Audience;

/// How long a revocation is remembered: longer than any handshake may take.
const KEPT: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    stones: Mutex<Stones>,
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
    pub(super) fn record(&self, audience: &Audience, reason: &CloseReason) {
        let now = Instant::now();
        let mut stones = self.lock();
        stones.sweep(now);
        stones.by_audience.insert(
            audience.clone(),
            Stone {
                at: now,
                reason: reason.clone(),
            },
        );
    }

    /// The reason for which a connection may not live that asked Django at `asked`.
    pub(super) fn of(&self, member: &Member, asked: Instant) -> Option<CloseReason> {
        let stones = self.lock();
        if stones.by_audience.is_empty() {
            return None;
        }
        registry::audiences(member)
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
    fn sweep(&mut self, now: Instant) {
        if self
            .swept
            .is_some_and(|swept| now - swept < Duration::from_secs(1))
        {
            return;
        }
        self.swept = Some(now);
        self.by_audience.retain(|_, stone| now - stone.at < KEPT);
    }
}
