//! Which live sessions something is about.
//!
//! Called by `lifecycle`. The surprise: what is given out are questions for Django and no sessions: by
//! the time Django has answered, a session may have gone or changed.

use std::time::{Duration, SystemTime};

use super::table::{LiveId, Table};
use super::{LiveSessions, LiveSubject};
use crate::ids::{SessionDigest, UserId};
use crate::publication::Audience;

impl LiveSessions {
    /// Whose session this is, where it has connections here.
    pub(in crate::session) fn user_of(&self, session: &SessionDigest) -> Option<UserId> {
        let table = self.table();
        let id = table.of_session(session).into_iter().next()?;
        Some(table.get(id)?.identity.user.clone())
    }

    /// The names by which the connections of a session cookie are known to the hub: a signed cookie may
    /// have been written anew since.
    pub(in crate::session) fn bound_to(&self, session: &SessionDigest) -> Box<[SessionDigest]> {
        let table = self.table();
        let ids = table.of_session(session).into_iter();
        let live = ids.filter_map(|id| table.get(id));
        live.flat_map(|live| live.identity.sessions.iter().copied())
            .collect()
    }

    /// The sessions of a session cookie, to be asked of.
    pub(in crate::session) fn of_session(&self, session: &SessionDigest) -> Vec<LiveSubject> {
        let table = self.table();
        subjects(&table, table.of_session(session))
    }

    /// The sessions of a user, to be asked of.
    pub(in crate::session) fn of_user(&self, user: &UserId) -> Vec<LiveSubject> {
        self.of_all(&[Audience::User(user.clone())])
    }

    /// The sessions that have connections in one of these audiences, each once, to be asked of.
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
        let table = self.table();
        let ids = digests.iter().flat_map(|digest| table.of_session(digest));
        subjects(&table, ids.collect())
    }

    /// Whether a session of a session cookie would end by itself within `time`.
    pub(in crate::session) fn is_ending(&self, session: &SessionDigest, time: Duration) -> bool {
        let table = self.table();
        let horizon = SystemTime::now() + time;
        let ends = table.of_session(session).into_iter();
        let mut ends = ends.filter_map(|id| table.get(id)?.identity.expires_at);
        ends.any(|end| end <= horizon)
    }
}

pub(super) fn subjects(table: &Table, ids: Vec<LiveId>) -> Vec<LiveSubject> {
    let one = |id| {
        let about = table.get(id)?.question();
        Some(LiveSubject { id, about })
    };
    ids.into_iter().filter_map(one).collect()
}
