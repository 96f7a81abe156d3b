//! Cookies that take the place of others while their session lives.
//!
//! Called by `lifecycle`. The surprise: what a signed cookie was written anew as is remembered for a
//! while, since a handshake may be under way with the old value, which stays good; the old value of any
//! other is refused, and needs no heir.

use std::time::Duration;

use tokio::time::Instant;

use super::find::asking;
use super::{Asking, LiveSessions, Tab};
use crate::close::CloseReason;
use crate::ids::SessionDigest;
use crate::session::cookie::SessionCookies;
use crate::session::shelf::Shelf;

/// Longer than any handshake may take.
const KEPT: Duration = Duration::from_mins(1);
/// A signed cookie has up to 4 KiB.
const MOST: usize = 4096;
/// How often a cookie may be written anew during one handshake. Values may also come back.
const MOST_STEPS: usize = 1000;

/// The cookies that took another one's place.
#[derive(Clone, Debug)]
pub(in crate::session) struct Heir {
    pub(in crate::session) cookies: SessionCookies,
    pub(in crate::session) digests: Box<[SessionDigest]>,
}

/// Heirs of the last minute, by the digest of the cookie before.
#[derive(Debug)]
pub(super) struct Heirs {
    noted: Shelf<SessionDigest, (Heir, Instant)>,
}

impl Default for Heirs {
    fn default() -> Self {
        let noted = Shelf::new(MOST);
        Self { noted }
    }
}

impl Heirs {
    pub(super) fn note(&mut self, old: SessionDigest, heir: Heir) {
        if heir.cookies.is_signed() {
            let now = Instant::now();
            self.noted
                .put(old, (heir, now), |(_, noted)| now - *noted >= KEPT);
        }
    }

    /// The last one of those that took the place of a cookie, one after the other.
    pub(super) fn newest(&self, old: &SessionDigest) -> Option<Heir> {
        let after = |old: &SessionDigest| {
            let (heir, noted) = self.noted.get(old)?;
            (noted.elapsed() < KEPT).then_some(heir)
        };
        let steps = std::iter::successors(after(old), |heir| after(heir.digests.first()?));
        steps.take(MOST_STEPS).last().cloned()
    }
}

impl LiveSessions {
    /// Says that the browser holds these cookies now in place of those it came with. Who it is stays
    /// open until Django is asked. Gives the sessions of the old ones.
    pub(in crate::session) fn replace(&self, old: &SessionDigest, heir: Heir) -> Vec<Asking> {
        let mut table = self.table();
        let ids = table.of_session(old);
        for id in &ids {
            table.set_cookies(*id, &heir.cookies, &heir.digests);
        }
        table.heirs.note(*old, heir);
        asking(&table, ids)
    }

    /// Gives a connection that came with a signed cookie the one that its browser has by now: Django
    /// may have written it anew while the handshake was under way. Gives what is to be asked of then.
    pub(in crate::session) fn inherit(
        &self,
        tab: &Tab,
        came_with: &SessionDigest,
    ) -> Result<Vec<Asking>, CloseReason> {
        let mut table = self.table();
        let Some(heir) = table.heirs.newest(came_with) else {
            return Ok(Vec::new());
        };
        let mut ended = heir
            .digests
            .iter()
            .filter_map(|digest| self.hub.ended(*digest));
        if let Some(reason) = ended.next() {
            return Err(reason);
        }
        let id = tab.share.session;
        table.set_cookies(id, &heir.cookies, &heir.digests);
        Ok(asking(&table, vec![id]))
    }
}
