//! Cookies that take the place of others while their session lives.
//!
//! Called by `lifecycle`. The surprise: what a signed cookie was written anew as is remembered for a
//! while, since a handshake may be under way with the old value, which stays good; the old value of any
//! other is refused, and needs no renewal.

use std::time::Duration;

use tokio::time::Instant;

use super::find::subjects;
use super::{LiveSessions, LiveSubject, SessionMember};
use crate::close::CloseReason;
use crate::ids::SessionDigest;
use crate::session::cookie::SessionCookies;
use crate::session::lease::cache::BoundedCache;

/// Longer than a request or a handshake usually takes.
const KEPT: Duration = Duration::from_mins(2);
/// A signed cookie has up to 4 KiB.
const MOST: usize = 4096;

/// The cookies that took another one's place.
#[derive(Clone, Debug)]
pub(in crate::session) struct Renewal {
    pub(in crate::session) cookies: SessionCookies,
    pub(in crate::session) digests: Box<[SessionDigest]>,
}

/// What became of signed cookies of late. Requests of one browser overlap, and several responses may
/// each write the same cookie anew: they are all known by the one that was there first.
#[derive(Debug)]
pub(super) struct Renewals {
    firsts: BoundedCache<SessionDigest, (SessionDigest, Instant)>,
    newest: BoundedCache<SessionDigest, (Renewal, Instant)>,
}

impl Default for Renewals {
    fn default() -> Self {
        Self {
            firsts: BoundedCache::new(2 * MOST),
            newest: BoundedCache::new(MOST),
        }
    }
}

impl Renewals {
    /// Notes what took the place of a cookie. Gives the first of them, where they are signed.
    pub(super) fn record(
        &mut self,
        old: SessionDigest,
        renewal: &Renewal,
    ) -> Option<SessionDigest> {
        if !renewal.cookies.is_signed() {
            return None;
        }
        let (now, first) = (Instant::now(), self.first(&old).unwrap_or(old));
        for one in [Some(&old), renewal.digests.first()].into_iter().flatten() {
            self.firsts
                .put(*one, (first, now), |(_, noted)| now - *noted >= KEPT);
        }
        let renewal = (renewal.clone(), now);
        self.newest
            .put(first, renewal, |(_, noted)| now - *noted >= KEPT);
        Some(first)
    }

    /// What a cookie was at first, where it was written anew.
    pub(super) fn first(&self, one: &SessionDigest) -> Option<SessionDigest> {
        let (first, noted) = self.firsts.get(one)?;
        (noted.elapsed() < KEPT).then_some(*first)
    }

    /// What a cookie is by now, and was at first.
    fn newest(&self, one: &SessionDigest) -> Option<(Renewal, SessionDigest)> {
        let first = self.first(one)?;
        let (renewal, _) = self.newest.get(&first)?;
        Some((renewal.clone(), first))
    }
}

impl LiveSessions {
    /// Says that the browser holds these cookies now in place of those it came with. Who it is stays
    /// open until Django is asked. Gives the sessions of the old ones.
    pub(in crate::session) fn replace(
        &self,
        old: &SessionDigest,
        renewal: &Renewal,
    ) -> Vec<LiveSubject> {
        let mut table = self.table();
        let ids = table.of_session(old);
        let first = table.renewals.record(*old, renewal);
        for id in &ids {
            table.set_cookies(*id, renewal, first);
        }
        subjects(&table, ids)
    }

    /// Gives a connection that came with a signed cookie the one that its browser has by now: Django
    /// may have written it anew while the handshake was under way. Gives what is to be asked of then.
    pub(in crate::session) fn inherit(
        &self,
        tab: &SessionMember,
        came_with: &SessionDigest,
    ) -> Result<Vec<LiveSubject>, CloseReason> {
        let mut table = self.table();
        let Some((renewal, first)) = table.renewals.newest(came_with) else {
            return Ok(Vec::new());
        };
        let mut ended = renewal
            .digests
            .iter()
            .filter_map(|digest| self.hub.ended(*digest));
        if let Some(reason) = ended.next() {
            return Err(reason);
        }
        let id = tab.share.session;
        if table
            .get(id)
            .is_some_and(|live| live.cookies == renewal.cookies)
        {
            table.set_first(id, first);
            return Ok(Vec::new());
        }
        table.set_cookies(id, &renewal, Some(first));
        Ok(subjects(&table, vec![id]))
    }
}
