//! The live sessions themselves and their indexes.
//!
//! Used by `live` alone, under its lock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::browsers::Browsers;
use super::crossings::Crossings;
use super::session::{Live, LiveId, LiveSubject, Renewal};
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::session::question::AuthSubject;

#[derive(Debug, Default)]
pub(super) struct Table {
    sessions: HashMap<LiveId, Box<Live>>,
    /// By the first bits of its digest: with other cookies or at another host it is another session.
    by_digest: BTreeSet<(u64, LiveId)>,
    /// The one that Django was not asked about for longest goes first.
    turns: BTreeSet<(Instant, LiveId)>,
    ends: BTreeSet<(SystemTime, LiveId)>,
    browsers: Browsers,
    next: LiveId,
    pub(super) crossings: Crossings,
    /// Where Django gave no judgement when it was asked last: why.
    pub(super) outage: Option<CloseReason>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Adds a session without connections, as Django said of it at `asked`.
    pub(super) fn insert(
        &mut self,
        about: &AuthSubject,
        identity: Identity,
        asked: Instant,
    ) -> LiveId {
        let id = self.next;
        self.next += 1;
        // Its turn comes an interval from now, however old the lease is that admitted it: leases that
        // survived a restart would all be due at once.
        let now = Instant::now();
        self.turns.insert((now, id));
        let live = Live {
            identity: Arc::new(identity),
            cookies: about.cookies.clone(),
            aliases: Vec::new(),
            browser: self.browsers.of(about),
            address: about.address,
            asked,
            checked: now,
            connections: 0,
            failed: false,
        };
        self.sessions.insert(id, Box::new(live));
        self.index(id);
        id
    }

    pub(super) fn remove(&mut self, id: LiveId) -> Option<Box<Live>> {
        self.unindex(id);
        let live = self.sessions.remove(&id)?;
        self.turns.remove(&(live.checked, id));
        Some(live)
    }

    pub(super) fn get(&self, id: LiveId) -> Option<&Live> {
        self.sessions.get(&id).map(|live| &**live)
    }

    pub(super) fn get_mut(&mut self, id: LiveId) -> Option<&mut Live> {
        self.sessions.get_mut(&id).map(|live| &mut **live)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LiveId, &Live)> {
        self.sessions.iter().map(|(id, live)| (*id, &**live))
    }

    /// The sessions of this session cookie, or of what it was before it was rewritten.
    pub(super) fn of_session(&self, digest: &SessionDigest) -> Vec<LiveId> {
        let bits = digest.first_bits();
        let named = self.by_digest.range((bits, 0)..=(bits, LiveId::MAX));
        named.map(|(_, id)| *id).collect()
    }

    /// The sessions that Django would be asked about just so: several where one got the cookies of
    /// another just now.
    pub(super) fn find(&self, about: &AuthSubject, digest: &SessionDigest) -> Vec<LiveId> {
        let mut found = self.of_session(digest);
        found.retain(|id| {
            self.get(*id).is_some_and(|live| {
                live.cookies == about.cookies && live.browser.is_at(&about.host)
            })
        });
        found
    }

    /// Gives a session another identity. Gives what it was.
    pub(super) fn set_identity(
        &mut self,
        id: LiveId,
        identity: Arc<Identity>,
    ) -> Option<Arc<Identity>> {
        self.unindex(id);
        let live = self.sessions.get_mut(&id)?;
        let sessions = identity.sessions.iter().map(SessionDigest::first_bits);
        let sessions: Vec<_> = sessions.collect();
        live.aliases.retain(|alias| !sessions.contains(alias));
        let old = std::mem::replace(&mut live.identity, identity);
        self.index(id);
        Some(old)
    }

    /// Takes the cookies of a session for those that its browser holds now in place of old ones. Who it is
    /// stays open until Django is asked. Gives the sessions of the old ones.
    pub(super) fn replace(&mut self, old: &SessionDigest, renewal: &Renewal) -> Vec<LiveSubject> {
        let ids = self.of_session(old);
        for id in &ids {
            self.set_cookies(*id, renewal);
        }
        if let Some(new) = renewal.digests.first() {
            self.crossings.forget(new);
        }
        if renewal.signed.is_some() {
            self.crossings.record(*old);
        }
        self.subjects(ids)
    }

    /// What Django is asked about these sessions.
    pub(super) fn subjects(&self, ids: impl IntoIterator<Item = LiveId>) -> Vec<LiveSubject> {
        let subject = |id| {
            let about = self.get(id)?.question();
            Some(LiveSubject { id, about })
        };
        ids.into_iter().filter_map(subject).collect()
    }

    /// Takes up to `most` sessions whose turn it is, and puts them at the end of the row.
    pub(super) fn take_turn(&mut self, most: usize) -> Vec<LiveSubject> {
        let ids: Vec<_> = self.turns.iter().take(most).map(|(_, id)| *id).collect();
        let now = Instant::now();
        for id in &ids {
            self.set_checked(*id, now);
        }
        self.subjects(ids)
    }

    /// Puts sessions that were asked about out of turn at the end of the row; those about which Django
    /// gave no judgement at its front, as if they had waited for twice the interval.
    pub(super) fn end_turn(&mut self, sessions: &[LiveSubject], interval: Duration) {
        let now = Instant::now();
        for session in sessions {
            let failed = self.get(session.id).is_some_and(|live| live.failed);
            let front = now.checked_sub(2 * interval).filter(|_| failed);
            self.set_checked(session.id, front.unwrap_or(now));
        }
    }

    /// When Django was last asked about the one whose turn is next.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.turns.first().map(|(checked, _)| *checked)
    }

    /// When the first session ends by itself.
    pub(super) fn first_end(&self) -> Option<SystemTime> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Takes those out whose end has come, the first ones first, until they get another end.
    pub(super) fn take_ended(&mut self, now: SystemTime, most: usize) -> Vec<LiveSubject> {
        let ended = self.ends.range(..=(now, LiveId::MAX)).take(most);
        let ended: Vec<_> = ended.copied().collect();
        for end in &ended {
            self.ends.remove(end);
        }
        self.subjects(ended.into_iter().map(|(_, id)| id))
    }

    /// Records when Django was asked last.
    fn set_checked(&mut self, id: LiveId, at: Instant) {
        if let Some(live) = self.sessions.get_mut(&id) {
            self.turns.remove(&(live.checked, id));
            live.checked = at;
            self.turns.insert((at, id));
        }
    }

    /// Gives a session other cookies, about which Django was not asked yet.
    fn set_cookies(&mut self, id: LiveId, renewal: &Renewal) {
        self.unindex(id);
        if let Some(live) = self.sessions.get_mut(&id) {
            live.rename(renewal);
            // What Django said of the old ones; whatever it is asked about these is newer.
            live.asked = renewal.at;
        }
        self.index(id);
    }

    fn index(&mut self, id: LiveId) {
        let Some(live) = self.sessions.get(&id) else {
            return;
        };
        self.by_digest.extend(live.names().map(|bits| (bits, id)));
        self.ends
            .extend(live.identity.expires_at.map(|end| (end, id)));
    }

    fn unindex(&mut self, id: LiveId) {
        let Some(live) = self.sessions.get(&id) else {
            return;
        };
        for bits in live.names() {
            self.by_digest.remove(&(bits, id));
        }
        if let Some(end) = live.identity.expires_at {
            self.ends.remove(&(end, id));
        }
    }
}
