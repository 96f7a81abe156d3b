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
use crate::session::lease::cache::Shelf;

/// Longer than a request or a handshake usually takes.
const KEPT: Duration = Duration::from_mins(2);
/// A signed cookie has up to 4 KiB.
const MOST: usize = 4096;

/// The cookies that took another one's place.
#[derive(Clone, Debug)]
pub(in crate::session) struct Heir {
    pub(in crate::session) cookies: SessionCookies,
    pub(in crate::session) digests: Box<[SessionDigest]>,
}

/// What became of signed cookies of late. Requests of one browser overlap, and several responses may
/// each write the same cookie anew: they are all known by the one that was there first.
#[derive(Debug)]
pub(super) struct Heirs {
    firsts: Shelf<SessionDigest, (SessionDigest, Instant)>,
    newest: Shelf<SessionDigest, (Heir, Instant)>,
}

impl Default for Heirs {
    fn default() -> Self {
        Self {
            firsts: Shelf::new(2 * MOST),
            newest: Shelf::new(MOST),
        }
    }
}

impl Heirs {
    /// Notes what took the place of a cookie. Gives the first of them, where they are signed.
    pub(super) fn note(&mut self, old: SessionDigest, heir: &Heir) -> Option<SessionDigest> {
        if !heir.cookies.is_signed() {
            return None;
        }
        let (now, first) = (Instant::now(), self.first(&old).unwrap_or(old));
        for one in [Some(&old), heir.digests.first()].into_iter().flatten() {
            self.firsts
                .put(*one, (first, now), |(_, noted)| now - *noted >= KEPT);
        }
        let heir = (heir.clone(), now);
        self.newest
            .put(first, heir, |(_, noted)| now - *noted >= KEPT);
        Some(first)
    }

    /// What a cookie was at first, where it was written anew.
    pub(super) fn first(&self, one: &SessionDigest) -> Option<SessionDigest> {
        let (first, noted) = self.firsts.get(one)?;
        (noted.elapsed() < KEPT).then_some(*first)
    }

    /// What a cookie is by now, and was at first.
    fn newest(&self, one: &SessionDigest) -> Option<(Heir, SessionDigest)> {
        let first = self.first(one)?;
        let (heir, _) = self.newest.get(&first)?;
        Some((heir.clone(), first))
    }
}

impl LiveSessions {
    /// Says that the browser holds these cookies now in place of those it came with. Who it is stays
    /// open until Django is asked. Gives the sessions of the old ones.
    pub(in crate::session) fn replace(&self, old: &SessionDigest, heir: &Heir) -> Vec<Asking> {
        let mut table = self.table();
        let ids = table.of_session(old);
        let first = table.heirs.note(*old, heir);
        for id in &ids {
            table.set_cookies(*id, heir, first);
        }
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
        let Some((heir, first)) = table.heirs.newest(came_with) else {
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
        if table
            .get(id)
            .is_some_and(|live| live.cookies == heir.cookies)
        {
            table.set_first(id, first);
            return Ok(Vec::new());
        }
        table.set_cookies(id, &heir, Some(first));
        Ok(asking(&table, vec![id]))
    }
}
