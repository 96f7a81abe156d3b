//! Which live sessions something is about.
//!
//! Called by `lifecycle` and `rechecks`. Nothing is changed here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::LiveSessions;
use super::session::{LiveId, LiveSubject};
use crate::identity::Identity;
use crate::ids::{ConnectionId, SessionDigest, UserId};
use crate::publication::Audience;
use crate::session::question::AuthSubject;

impl LiveSessions {
    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whose session this is, where it has connections here.
    pub(in crate::session) fn user_of(&self, session: &SessionDigest) -> Option<UserId> {
        let table = self.table.lock();
        let id = table.of_session(session).into_iter().next()?;
        Some(table.get(id)?.identity.user.clone())
    }

    /// The names by which the connections of a session cookie are known to the hub: a signed cookie may
    /// have been rewritten since.
    pub(in crate::session) fn bound_to(&self, session: &SessionDigest) -> Box<[SessionDigest]> {
        let table = self.table.lock();
        let ids = table.of_session(session).into_iter();
        let live = ids.filter_map(|id| table.get(id));
        live.flat_map(|live| live.identity.sessions.iter().copied())
            .collect()
    }

    /// The sessions of a session cookie, to be asked about.
    pub(in crate::session) fn of_session(&self, session: &SessionDigest) -> Vec<LiveSubject> {
        let table = self.table.lock();
        table.subjects(table.of_session(session))
    }

    /// The sessions of a user, to be asked about.
    pub(in crate::session) fn of_user(&self, user: &UserId) -> Vec<LiveSubject> {
        self.of_all(&[Audience::User(user.clone())])
    }

    /// The sessions that have connections in one of these audiences, each once, to be asked about.
    pub(in crate::session) fn of_all(&self, audiences: &[Audience]) -> Vec<LiveSubject> {
        let connections = audiences
            .iter()
            .flat_map(|audience| self.hub.connections(audience, usize::MAX));
        let identities = connections.map(|one| one.member.identity());
        let mut digests: Vec<_> = identities
            .filter_map(|who| who.sessions.first().copied())
            .collect();
        digests.sort_unstable_by_key(SessionDigest::first_bits);
        digests.dedup();
        let table = self.table.lock();
        let ids = digests.iter().flat_map(|digest| table.of_session(digest));
        table.subjects(ids)
    }

    /// Whether a session of a session cookie would end by itself within `time`.
    pub(in crate::session) fn is_ending(&self, session: &SessionDigest, time: Duration) -> bool {
        let table = self.table.lock();
        let horizon = SystemTime::now() + time;
        let ends = table.of_session(session).into_iter();
        let mut ends = ends.filter_map(|id| table.get(id)?.identity.expires_at);
        ends.any(|end| end <= horizon)
    }

    /// Whether Django gave no judgement of one of these sessions when it was asked last.
    pub(in crate::session) fn lack_judgement(&self, sessions: &[LiveSubject]) -> bool {
        let table = self.table.lock();
        let mut live = sessions.iter().filter_map(|session| table.get(session.id));
        live.any(|live| live.failed)
    }

    /// Whether a handshake with this session cookie, which comes now, may have crossed a response that
    /// writes it again.
    pub(in crate::session) fn is_crossed(&self, session: &SessionDigest) -> bool {
        self.table.lock().crossings.is_crossed(session)
    }

    /// Who a session is that was to be asked about; `None` where it has ended, or has other cookies by now.
    pub(in crate::session) fn identity_of(&self, session: &LiveSubject) -> Option<Arc<Identity>> {
        let table = self.table.lock();
        let live = table.get(session.id)?;
        let same = live.cookies == session.about.cookies;
        same.then(|| Arc::clone(&live.identity))
    }

    /// The session of this very identity, to be asked about.
    pub(in crate::session) fn of_identity(&self, identity: &Arc<Identity>) -> Option<LiveSubject> {
        let table = self.table.lock();
        let ids = table.of_session(identity.sessions.first()?).into_iter();
        let is_it = |id: &LiveId| {
            let live = table.get(*id);
            live.is_some_and(|live| Arc::ptr_eq(&live.identity, identity))
        };
        table.subjects(ids.filter(is_it)).pop()
    }

    /// The visitors, and what can be asked about each.
    pub(in crate::session) fn visitors(&self) -> Vec<(ConnectionId, Arc<AuthSubject>)> {
        let visitors = self.visitors.lock();
        let visitors = visitors.iter();
        visitors
            .map(|(id, about)| (*id, Arc::clone(about)))
            .collect()
    }

    /// What can be asked about a visitor.
    pub(in crate::session) fn visitor(&self, connection: ConnectionId) -> Option<Arc<AuthSubject>> {
        self.visitors.lock().get(&connection).cloned()
    }

    /// How many sessions there are, and how long Django was not asked about the one whose turn is next.
    pub(in crate::session) fn row(&self) -> (usize, Duration) {
        let table = self.table.lock();
        let oldest = table.oldest().map(|checked| checked.elapsed());
        (table.len(), oldest.unwrap_or_default())
    }

    /// How long it is until the next session ends by itself.
    pub(in crate::session) fn next_end(&self) -> Option<Duration> {
        let end = self.table.lock().first_end()?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }
}
