//! The live sessions themselves and their indexes.
//!
//! Used by `live` alone, under its lock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::browsers::{Browser, Browsers};
use super::crossings::Crossings;
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::session::cookie::SessionCookies;
use crate::session::question::AuthSubject;

/// With more, the oldest are forgotten: a browser has only so many requests under way.
const MOST_ALIASES: usize = 16;

/// One live session of this process.
pub(super) type LiveId = u64;

/// A session with connections here, however many.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) identity: Arc<Identity>,
    pub(super) cookies: SessionCookies,
    /// The first bits of further digests that it is found by.
    aliases: Vec<u64>,
    browser: Arc<Browser>,
    address: std::net::IpAddr,
    /// When Django was asked for what is known.
    pub(super) asked: Instant,
    /// When it joined the row or was asked of last, whatever came of it; the key of its turn.
    checked: Instant,
    pub(super) connections: u32,
    /// Whether it was asked since and gave no judgement.
    pub(super) failed: bool,
}

/// The cookies that took another one's place.
#[derive(Clone, Debug)]
pub(in crate::session) struct Renewal {
    pub(in crate::session) cookies: SessionCookies,
    pub(in crate::session) digests: Box<[SessionDigest]>,
    /// The old one, where it is signed: it stays good.
    pub(in crate::session) signed: Option<SessionDigest>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    sessions: HashMap<LiveId, Box<Live>>,
    /// By the first bits of its digest: with other cookies or at another host it is another session.
    by_digest: BTreeSet<(u64, LiveId)>,
    /// The one that Django was not asked of for longest goes first.
    turns: BTreeSet<(Instant, LiveId)>,
    ends: BTreeSet<(SystemTime, LiveId)>,
    browsers: Browsers,
    next: LiveId,
    pub(super) crossings: Crossings,
    /// Whether Django gave no judgement when it was asked last.
    pub(super) is_away: bool,
}

impl Live {
    /// What it is found by: the digests of the cookies that Django was asked about, and its aliases.
    fn names(&self) -> impl Iterator<Item = u64> {
        let sessions = self.identity.sessions.iter().map(SessionDigest::first_bits);
        sessions.chain(self.aliases.iter().copied())
    }

    /// Gives it other cookies. Requests of one browser overlap, and several responses may each write the
    /// same signed cookie anew: a session is found by what such a cookie was of late, too.
    fn rename(&mut self, renewal: &Renewal) {
        self.cookies = renewal.cookies.clone();
        let Some(old) = &renewal.signed else {
            self.aliases = renewal
                .digests
                .iter()
                .map(SessionDigest::first_bits)
                .collect();
            return;
        };
        for digest in [old].into_iter().chain(&renewal.digests) {
            let bits = digest.first_bits();
            self.aliases.retain(|alias| *alias != bits);
            self.aliases.push(bits);
        }
        let surplus = self.aliases.len().saturating_sub(MOST_ALIASES);
        self.aliases.drain(..surplus);
    }

    /// Why it closes where Django knows nobody any more.
    pub(super) fn end(&self) -> CloseReason {
        let end = self.identity.expires_at;
        let expired = end.is_some_and(|end| end <= SystemTime::now());
        let text = if expired {
            "session expired"
        } else {
            "session ended"
        };
        CloseReason::SessionEnded(text.into())
    }

    /// What it takes to ask Django again.
    pub(super) fn question(&self) -> AuthSubject {
        self.browser.subject(self.cookies.clone(), self.address)
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Adds a session without connections.
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
        let browser = self.browsers.of(about);
        let live = Live {
            identity: Arc::new(identity),
            cookies: about.cookies.clone(),
            aliases: Vec::new(),
            browser,
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

    /// The sessions of this session cookie, or of what it was before it was written anew.
    pub(super) fn of_session(&self, digest: &SessionDigest) -> Vec<LiveId> {
        let bits = digest.first_bits();
        let named = self.by_digest.range((bits, 0)..=(bits, LiveId::MAX));
        named.map(|(_, id)| *id).collect()
    }

    /// The session of which Django would be asked just so.
    pub(super) fn find(&self, about: &AuthSubject, digest: &SessionDigest) -> Option<LiveId> {
        self.of_session(digest).into_iter().find(|id| {
            self.get(*id).is_some_and(|live| {
                live.cookies == about.cookies && live.browser.is_at(&about.host)
            })
        })
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

    /// Gives a session other cookies, of which Django was not asked yet.
    pub(super) fn set_cookies(&mut self, id: LiveId, renewal: &Renewal) {
        self.unindex(id);
        if let Some(live) = self.sessions.get_mut(&id) {
            live.rename(renewal);
            // What Django is answering just now it says of the old ones.
            live.asked = Instant::now();
        }
        self.index(id);
    }

    /// Notes when Django was asked last.
    pub(super) fn set_checked(&mut self, id: LiveId, at: Instant) {
        if let Some(live) = self.sessions.get_mut(&id) {
            self.turns.remove(&(live.checked, id));
            live.checked = at;
            self.turns.insert((at, id));
        }
    }

    /// Since when nobody asked of the one whose turn is next.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.turns.first().map(|(checked, _)| *checked)
    }

    /// Those whose turn is next.
    pub(super) fn next(&self, most: usize) -> Vec<LiveId> {
        self.turns.iter().take(most).map(|(_, id)| *id).collect()
    }

    /// When the first session ends by itself.
    pub(super) fn first_end(&self) -> Option<SystemTime> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Takes those out whose end has come, the first ones first, until they get another end.
    pub(super) fn take_ended(&mut self, now: SystemTime, most: usize) -> Vec<LiveId> {
        let ended = self.ends.range(..=(now, LiveId::MAX)).take(most);
        let ended: Vec<_> = ended.copied().collect();
        for end in &ended {
            self.ends.remove(end);
        }
        ended.into_iter().map(|(_, id)| id).collect()
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
