//! Revocations of the last minutes, which handshakes under way and leases must not slip past.
//!
//! Written by [`Hub::close`](super::Hub::close), read when a connection registers or a lease is used. The surprise: a
//! session that ended (4001) stays refused for the whole minute, because Django signals a logout
//! before it deletes the session, and an auth call in between still says "logged in".

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::member::audiences;
use super::superseding::Superseding;
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::median::median;
use crate::publication::Audience;

/// How long a session that ended stays refused, and how long any revocation is remembered at least:
/// longer than any handshake may take.
const KEPT: Duration = Duration::from_mins(1);
/// How long a handshake may take to arrive that the browser sent before it had the response with its
/// new cookie: a client that shows the old cookie within that time has the new one when it comes back.
const CROSSING: Duration = Duration::from_secs(3);
/// Remembered at most, in some 20 MB. Beyond it everything that was said before the older half counts no
/// more, for anybody.
const MOST: usize = 65_536;
/// Remembered at most of sessions of which nothing is known: a client that invents session cookies has
/// Django take each one away. Beyond it the oldest are forgotten, and nobody else hears of it.
const MOST_STRANGERS: usize = 4096;

/// Whether anything is known of a session that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// Somebody was logged in with it, or still is.
    Known,
    /// Django may never have heard of it.
    Stranger,
}

#[derive(Debug)]
pub(super) struct Revocations {
    table: Mutex<RevocationTable>,
}

#[derive(Debug, Default)]
struct RevocationTable {
    by_audience: HashMap<Audience, Revocation>,
    /// Those of strangers, the oldest first, and some that are known or gone by now.
    strangers: VecDeque<SessionDigest>,
    swept: Option<Instant>,
    remembered: Duration,
    /// Revocations until then were forgotten because there were too many.
    forgotten: Option<Instant>,
}

#[derive(Debug)]
struct Revocation {
    at: Instant,
    /// For handshakes that asked Django before.
    reason: CloseReason,
    /// For every handshake with this session, whenever it asked, and since when.
    ended: Option<Ended>,
    of: Acquaintance,
}

/// A session that admits nobody.
#[derive(Debug)]
struct Ended {
    since: Instant,
    reason: CloseReason,
    /// Another one took its place.
    superseded: bool,
}

impl Revocations {
    /// Remembers revocations for this long, and at least for a minute.
    pub(super) fn new(remembered: Duration) -> Self {
        Self {
            table: Mutex::new(RevocationTable {
                remembered: remembered.max(KEPT),
                ..RevocationTable::default()
            }),
        }
    }

    /// Remembers them for this long from now on, and never for less than until now.
    pub(super) fn remember_for(&self, remembered: Duration) {
        let mut table = self.lock();
        table.remembered = table.remembered.max(remembered);
    }

    /// A revocation.
    pub(super) fn record(&self, audience: &Audience, reason: &CloseReason, of: Acquaintance) {
        let now = Instant::now();
        let ended = matches!(audience, Audience::Session(_)) && reason.code() == 4001;
        let ended = ended.then(|| Ended {
            since: now,
            reason: reason.clone(),
            superseded: false,
        });
        let revocation = Revocation {
            at: now,
            reason: reason.clone(),
            ended,
            of,
        };
        self.lock().put(audience.clone(), revocation);
    }

    /// Another session took this one's place at `at`: a late handshake with the old one has to log in,
    /// but a client whose handshake was under way, here or in the network, has the new one by now. A session
    /// that had ended before stays ended.
    pub(super) fn supersede(
        &self,
        session: SessionDigest,
        known: Acquaintance,
        by: Superseding<'_>,
    ) {
        let Superseding { at, ended } = by;
        let mut table = self.lock();
        let audience = Audience::Session(session);
        let old = table.by_audience.get(&audience);
        let old = old.and_then(|old| old.ended.as_ref());
        let before = old.filter(|old| !old.superseded && at - old.since < KEPT);
        let ended = Ended {
            since: at,
            superseded: before.is_none(),
            reason: before.map_or(ended, |old| &old.reason).clone(),
        };
        let revocation = Revocation {
            at,
            reason: CloseReason::SessionChanged,
            ended: Some(ended),
            of: known,
        };
        table.put(audience, revocation);
    }

    /// What Django said of this audience before `at` counts no more.
    pub(super) fn outdate(&self, audience: &Audience, at: Instant) {
        let mut table = self.lock();
        let old = table.by_audience.get_mut(audience);
        if old.as_ref().is_some_and(|old| old.at >= at) {
            return;
        }
        let of = old.as_ref().map_or(Acquaintance::Known, |old| old.of);
        let revocation = Revocation {
            at,
            reason: CloseReason::SessionChanged,
            ended: old.and_then(|old| old.ended.take()),
            of,
        };
        table.put(audience.clone(), revocation);
    }

    /// Django has just handed this session out, whatever was said of it before.
    pub(super) fn lift(&self, session: SessionDigest) {
        if let Some(revocation) = self.lock().by_audience.get_mut(&Audience::Session(session)) {
            revocation.ended = None;
        }
    }

    /// The reason for which an identity counts no more about which Django was asked at `asked`.
    pub(super) fn of(&self, identity: &Identity, asked: Instant) -> Option<CloseReason> {
        let audiences = audiences(identity).chain([Audience::Everyone]);
        self.lock().first(audiences, asked)
    }

    /// The same, but for what concerns everyone.
    pub(super) fn by_name(&self, identity: &Identity, asked: Instant) -> Option<CloseReason> {
        self.lock().first(audiences(identity), asked)
    }

    /// The reason for which everybody was closed, if it is still remembered.
    pub(super) fn of_everyone(&self) -> Option<CloseReason> {
        let table = self.lock();
        let revocation = table.by_audience.get(&Audience::Everyone)?;
        Some(revocation.reason.clone())
    }

    /// Why this session is refused, if it is.
    pub(super) fn ended(&self, session: SessionDigest) -> Option<CloseReason> {
        let table = self.lock();
        if table.by_audience.is_empty() {
            return None;
        }
        table.by_audience.get(&Audience::Session(session))?.ended()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().by_audience.len()
    }

    fn lock(&self) -> MutexGuard<'_, RevocationTable> {
        self.table.lock()
    }
}

impl Revocation {
    fn ended(&self) -> Option<CloseReason> {
        let ended = self.ended.as_ref()?;
        match ended.since.elapsed() {
            age if age >= KEPT => None,
            age if ended.superseded && age < CROSSING => Some(CloseReason::SessionChanged),
            _ => Some(ended.reason.clone()),
        }
    }
}

impl RevocationTable {
    fn first(
        &self,
        mut audiences: impl Iterator<Item = Audience>,
        asked: Instant,
    ) -> Option<CloseReason> {
        if self.by_audience.is_empty() {
            return None;
        }
        let found = audiences.find_map(|audience| {
            let revocation = self.by_audience.get(&audience)?;
            // A revocation wins even when the clock cannot tell; a question that is asked because something
            // changed is asked after the change.
            let changed = revocation.reason == CloseReason::SessionChanged;
            if revocation.at > asked || revocation.at == asked && !changed {
                return Some(revocation.reason.clone());
            }
            revocation.ended()
        });
        let forgotten = self.forgotten.is_some_and(|until| asked <= until);
        found.or(forgotten.then_some(CloseReason::SessionChanged))
    }

    fn put(&mut self, audience: Audience, mut revocation: Revocation) {
        self.sweep(revocation.at);
        let before = self
            .by_audience
            .get(&audience)
            .map(|revocation| revocation.of);
        revocation.of = before
            .filter(|_| revocation.of == Acquaintance::Stranger)
            .unwrap_or(revocation.of);
        if before.is_none()
            && revocation.of == Acquaintance::Stranger
            && let Audience::Session(session) = audience
        {
            self.meet(session);
        }
        if self.by_audience.len() >= MOST {
            self.forget_older_half();
        }
        self.by_audience.insert(audience, revocation);
    }

    /// Makes room for one more stranger.
    fn meet(&mut self, session: SessionDigest) {
        self.strangers.push_back(session);
        if self.strangers.len() > MOST_STRANGERS
            && let Some(oldest) = self.strangers.pop_front()
        {
            let oldest = Audience::Session(oldest);
            let revocation = self.by_audience.get(&oldest);
            if revocation.is_some_and(|revocation| revocation.of == Acquaintance::Stranger) {
                self.by_audience.remove(&oldest);
            }
        }
    }

    /// Makes room, and has every session ask again that a forgotten revocation may apply to.
    fn forget_older_half(&mut self) {
        let Some(until) = median(self.by_audience.values().map(|revocation| revocation.at)) else {
            return;
        };
        // There is one for everyone, and it is read by itself.
        self.by_audience.retain(|audience, revocation| {
            revocation.at > until || *audience == Audience::Everyone
        });
        self.forgotten = self.forgotten.max(Some(until));
    }

    /// Forgets what is old, at most once a second: a sweep walks all.
    fn sweep(&mut self, now: Instant) {
        if self
            .swept
            .is_some_and(|swept| now - swept < Duration::from_secs(1))
        {
            return;
        }
        self.swept = Some(now);
        let remembered = self.remembered;
        self.by_audience
            .retain(|_, revocation| now - revocation.at < remembered);
    }
}
