//! The sessions that have connections here: each once, however many tabs it has.
//!
//! `socket` joins a connection to its session and keeps the [`SessionMember`]; `lifecycle` and `revalidate` tell
//! what Django says of the sessions since. The surprise: one lock is held from looking a session up to
//! the end of what follows from it in the hub, so that no connection joins in between and is missed.

pub(in crate::session) mod asker;
pub(in crate::session) mod doubt;
pub(in crate::session) mod lifecycle;
pub(in crate::session) mod rechecks;
pub(in crate::session) mod revalidate;

mod answers;
mod browsers;
mod crossings;
mod find;
mod schedule;
mod table;
mod throttle;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close::CloseReason;
use crate::hub::{Hub, Member, Membership};
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::publication::Audience;
use crate::session::answer::Answer;
use crate::session::error::AuthError;
use crate::session::question::AuthSubject;
pub(in crate::session) use table::Renewal;
use table::{LiveId, Table};

/// All sessions with connections here.
#[derive(Debug)]
pub struct LiveSessions {
    hub: Arc<Hub>,
    table: Mutex<Table>,
    /// Told when there is a session again.
    pub(in crate::session) some: Notify,
}

/// A connection of a live session; dropping it takes the connection out of the hub, and the last one
/// takes the session with it.
#[derive(Debug)]
pub struct SessionMember {
    /// Dropped first: whoever finds no session finds no connection of it either.
    membership: Membership,
    _share: Share,
}

/// A connection's share of its session.
#[derive(Debug)]
struct Share {
    session: LiveId,
    sessions: Arc<LiveSessions>,
}

/// A live session of which Django is asked.
#[derive(Clone, Debug)]
pub(in crate::session) struct LiveSubject {
    pub(in crate::session) id: LiveId,
    pub(in crate::session) about: AuthSubject,
}

/// What Django said of a session when it was asked again.
#[derive(Debug)]
pub(in crate::session) struct RecheckResult<'a> {
    pub(in crate::session) answer: Result<&'a Answer, &'a AuthError>,
    /// The digests of the cookies that it was asked of.
    pub(in crate::session) sessions: Box<[SessionDigest]>,
    pub(in crate::session) asked: Instant,
    /// How long a session is kept of which Django gives no judgement.
    pub(in crate::session) grace: Duration,
}

impl LiveSessions {
    /// No sessions yet.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            table: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Makes a connection of a session; see [`Lifecycle::join`](super::Lifecycle::join).
    pub(in crate::session) fn join(
        self: &Arc<Self>,
        about: &AuthSubject,
        (identity, asked): (Identity, std::time::Instant),
        connect: impl FnOnce(Arc<Identity>) -> Member,
    ) -> Result<SessionMember, CloseReason> {
        let mut table = self.table();
        let id = self.session_of(&mut table, about, (identity, asked.into()))?;
        let Some(live) = table.get_mut(id) else {
            return Err(CloseReason::SessionChanged);
        };
        match self
            .hub
            .register(connect(Arc::clone(&live.identity)), asked)
        {
            Ok(membership) => {
                live.connections += 1;
                drop(table);
                self.some.notify_one();
                let share = Share {
                    session: id,
                    sessions: Arc::clone(self),
                };
                Ok(SessionMember {
                    membership,
                    _share: share,
                })
            }
            Err(reason) => {
                if live.connections == 0 {
                    table.remove(id);
                }
                Err(reason)
            }
        }
    }

    /// The session that a handshake belongs to, which knows what the handshake learned.
    fn session_of(
        &self,
        table: &mut Table,
        about: &AuthSubject,
        (identity, asked): (Identity, Instant),
    ) -> Result<LiveId, CloseReason> {
        // Before anything is changed: what is out of date must not become known.
        if let Some(reason) = self.hub.revoked(&identity, asked.into()) {
            return Err(reason);
        }
        let digest = identity.sessions.first();
        if digest.is_some_and(|digest| table.crossings.has_crossed(digest, asked)) {
            return Err(CloseReason::SessionChanged);
        }
        let known = digest.and_then(|digest| table.find(about, digest));
        if let Some(id) = known
            && let Some(live) = table.get(id)
        {
            let same = live.identity.user == identity.user;
            match (same, live.asked > asked) {
                (true, true) => return Ok(id),
                (true, false) => {
                    self.confirm(table, id, (identity, asked));
                    return Ok(id);
                }
                (false, true) => return Err(CloseReason::SessionChanged),
                (false, false) => self.close(table, id, &CloseReason::AnotherUser),
            };
        }
        Ok(table.insert(about, identity, asked))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a handshake with this session cookie, which comes now, may have crossed a response that
    /// writes it anew.
    pub(in crate::session) fn is_crossed(&self, session: &SessionDigest) -> bool {
        self.table().crossings.is_crossed(session)
    }

    /// Records that the browser holds these cookies now in place of those it came with. Who it is stays
    /// open until Django is asked. Gives the sessions of the old ones.
    pub(in crate::session) fn replace(
        &self,
        old: &SessionDigest,
        renewal: &Renewal,
    ) -> Vec<LiveSubject> {
        let mut table = self.table();
        let ids = table.of_session(old);
        for id in &ids {
            table.set_cookies(*id, renewal);
        }
        if let Some(new) = renewal.digests.first() {
            table.crossings.forget(new);
        }
        if renewal.signed.is_some() {
            table.crossings.record(*old);
        }
        find::subjects(&table, ids)
    }

    /// Closes the sessions of a session cookie. Returns how many connections were closed.
    pub(in crate::session) fn end(&self, session: &SessionDigest, reason: &CloseReason) -> usize {
        let mut table = self.table();
        let ids = table.of_session(session);
        ids.into_iter()
            .map(|id| self.close(&mut table, id, reason))
            .sum()
    }

    /// Lets the sessions of a session cookie live until `end`, where they would end before.
    pub(in crate::session) fn extend(&self, session: &SessionDigest, end: SystemTime) {
        let mut table = self.table();
        for id in table.of_session(session) {
            let Some(live) = table.get(id) else { continue };
            if live.identity.expires_at.is_some_and(|old| old < end) {
                let mut identity = Identity::clone(&live.identity);
                identity.expires_at = Some(end);
                let identity = Arc::new(identity);
                if let Some(old) = table.set_identity(id, Arc::clone(&identity)) {
                    // Nothing new is said of who it is: whoever revoked it since has closed it.
                    let now = Instant::now().into_std();
                    self.hub.rebind(&old, &identity, now);
                }
            }
        }
    }

    /// Acts upon what Django said of a session, or did not. Returns how many connections were closed.
    pub(in crate::session) fn settle(
        &self,
        subject: &LiveSubject,
        result: RecheckResult<'_>,
    ) -> usize {
        let mut table = self.table();
        table.is_away = result.answer.is_err();
        let Some(live) = table.get_mut(subject.id) else {
            return 0;
        };
        if live.cookies != subject.about.cookies || live.asked > result.asked {
            return 0;
        }
        let Ok(answer) = result.answer else {
            live.failed = true;
            let over = live.asked.elapsed() >= result.grace;
            return if over {
                self.close(&mut table, subject.id, &CloseReason::DjangoUnreachable)
            } else {
                0
            };
        };
        let user = live.identity.user.clone();
        match answer.identity(result.sessions) {
            Some(identity) if identity.user == user => {
                let overtaken = self.hub.revoked(&identity, result.asked.into());
                if overtaken == Some(CloseReason::SessionChanged) {
                    // Whoever said so asks again.
                    return 0;
                }
                self.confirm(&mut table, subject.id, (identity, result.asked));
                0
            }
            other => {
                let reason = other.map_or_else(|| live.end(), |_| CloseReason::AnotherUser);
                for session in &live.identity.sessions {
                    // Handshakes that asked before come too late.
                    let session = Audience::Session(*session);
                    self.hub.outdate(&session, result.asked.into());
                }
                self.close(&mut table, subject.id, &reason)
            }
        }
    }

    /// Makes known what Django said of a session whose user is the same, and when.
    fn confirm(&self, table: &mut Table, id: LiveId, (identity, asked): (Identity, Instant)) {
        let Some(live) = table.get_mut(id) else {
            return;
        };
        (live.asked, live.failed) = (asked, false);
        if *live.identity == identity {
            return;
        }
        let identity = Arc::new(identity);
        if let Some(old) = table.set_identity(id, Arc::clone(&identity)) {
            self.hub.rebind(&old, &identity, asked.into());
        }
    }

    /// Forgets a session and closes its connections.
    fn close(&self, table: &mut Table, id: LiveId, reason: &CloseReason) -> usize {
        table
            .remove(id)
            .map_or(0, |live| self.hub.close_bound(&live.identity, reason))
    }

    fn leave(&self, id: LiveId) {
        let mut table = self.table();
        if let Some(live) = table.get_mut(id) {
            live.connections -= 1;
            if live.connections == 0 {
                table.remove(id);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl SessionMember {
    /// The connection.
    pub fn member(&self) -> &Member {
        self.membership.member()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.sessions.leave(self.session);
    }
}
