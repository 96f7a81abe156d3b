//! Signed cookies that were rewritten of late, while a handshake with the old value may be under way.
//!
//! Used by `live`. The surprise: the old value stays good, since Django cannot take it back. But its browser
//! has another one by now, and a socket that came in with the old one would not hear of a logout. So it is
//! told to come back.

use std::time::Duration;

use tokio::time::Instant;

use crate::ids::SessionDigest;
use crate::session::lease::cache::BoundedCache;

/// How long a handshake may take to get here that a browser sent before it had the new value.
const CROSSING: Duration = Duration::from_secs(3);
/// Longer than Django's answer to a handshake is waited for.
const KEPT: Duration = Duration::from_mins(1);
/// Beyond it the oldest are forgotten.
const MOST: usize = 4096;

/// When signed cookies were rewritten.
#[derive(Debug)]
pub(super) struct Crossings(BoundedCache<SessionDigest, Instant>);

impl Default for Crossings {
    fn default() -> Self {
        Self(BoundedCache::new(MOST))
    }
}

impl Crossings {
    /// Records that another value takes this one's place.
    pub(super) fn record(&mut self, old: SessionDigest) {
        let is_over = |at: &Instant| at.elapsed() >= KEPT;
        self.0.put(old, Instant::now(), is_over);
    }

    /// Forgets a value that Django has just handed out.
    pub(super) fn forget(&mut self, new: &SessionDigest) {
        self.0.remove(new);
    }

    /// Whether a handshake with this value, which comes now, may have crossed the response.
    pub(super) fn is_crossed(&self, session: &SessionDigest) -> bool {
        let at = self.0.get(session);
        at.is_some_and(|at| at.elapsed() < CROSSING)
    }

    /// Whether one has crossed it about which Django was asked at `asked`.
    pub(super) fn has_crossed(&self, session: &SessionDigest, asked: Instant) -> bool {
        let at = self.0.get(session);
        self.is_crossed(session) || at.is_some_and(|at| *at > asked && at.elapsed() < KEPT)
    }
}
