//! The sessions that have connections here: each once, however many tabs it has.
//!
//! `socket` joins a connection to its session and keeps the [`SessionMember`]; `lifecycle` follows what happens
//! to sessions, and `rechecks` what Django says of them since. Its files, top first; a file uses only those under it:
//!
//! | file | what is in it |
//! |---|---|
//! | `follow` | what a response does to a session's cookie |
//! | `lifecycle` | what happened to a session, and what follows |
//! | `revalidate` | when each has its turn to be asked about |
//! | `rechecks` | asking Django again, and acting upon the answer (`answers`) |
//! | `grants` | asking again about what connections listen to, by views |
//! | `token_grants` | the same by tokens |
//! | `replacement` | a session that takes another one's place |
//! | `doubts`, `throttle`, `calming` | limits on how often Django is asked |
//! | `parts`, `asker` | what `lifecycle` and `rechecks` are made of, and who asks |
//! | `find` and this one | the sessions, as the others see them |
//! | `locked` | table and hub under one lock |
//! | `table` | the sessions and their indexes; `session`: one of them; `browsers`: what their browsers say of themselves |
//! | `crossings` | signed cookies that were rewritten of late |

pub(in crate::session) mod asker;
pub(in crate::session) mod follow;
pub(in crate::session) mod lifecycle;
pub(in crate::session) mod parts;
pub(in crate::session) mod rechecks;

mod answers;
mod browsers;
mod calming;
mod crossings;
mod doubts;
mod find;
mod grants;
mod locked;
mod replacement;
mod revalidate;
mod session;
mod table;
mod throttle;
mod token_grants;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::close::CloseReason;
use crate::hub::{Hub, Member, Membership};
use crate::identity::Identity;
use crate::ids::{ConnectionId, SessionDigest};
use crate::secret::Secrets;
use crate::session::question::{AuthSubject, Judged};
use locked::{Locked, Moving, RecheckResult};
use session::{LiveId, LiveSubject, Renewal};
use table::Table;

/// All sessions with connections here.
#[derive(Debug)]
pub struct LiveSessions {
    hub: Arc<Hub>,
    table: Mutex<Table>,
    /// Connections without a session, and what can be asked about each.
    visitors: Mutex<HashMap<ConnectionId, Arc<AuthSubject>>>,
    /// Told when there is a session again.
    pub(in crate::session) some: Notify,
}

/// A connection of a live session; dropping it takes the connection out of the hub, and the last one
/// takes the session with it.
#[derive(Debug)]
pub struct SessionMember {
    /// Dropped first: where there is no session, there is no connection of it either.
    membership: Membership,
    share: Share,
}

/// A connection's share of its session.
#[derive(Debug)]
struct Share {
    session: LiveId,
    sessions: Arc<LiveSessions>,
}

impl LiveSessions {
    /// No sessions yet.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            table: Mutex::default(),
            visitors: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Has sessions found by digests of other secrets.
    pub(in crate::session) fn rename(&self, before: &Secrets, now: &Secrets) {
        self.locked().rename(before, now);
    }

    /// Makes a connection of a session; see [`Lifecycle::join`](super::Lifecycle::join).
    pub(in crate::session) fn join(
        self: &Arc<Self>,
        about: &AuthSubject,
        judged: Judged,
        connect: impl FnOnce(Arc<Identity>) -> Member,
    ) -> Result<SessionMember, CloseReason> {
        let (mut locked, asked) = (self.locked(), judged.asked);
        let id = locked.session_of(about, judged)?;
        let Some(live) = locked.table.get_mut(id) else {
            return Err(CloseReason::SessionChanged);
        };
        match self
            .hub
            .register(connect(Arc::clone(&live.identity)), asked)
        {
            Ok(membership) => {
                live.connections += 1;
                drop(locked);
                self.some.notify_one();
                let share = Share {
                    session: id,
                    sessions: Arc::clone(self),
                };
                Ok(SessionMember { membership, share })
            }
            Err(reason) => {
                if live.connections == 0 {
                    locked.table.remove(id);
                }
                Err(reason)
            }
        }
    }

    /// Remembers what views can be asked about a visitor.
    pub fn visit(
        self: &Arc<Self>,
        connection: ConnectionId,
        about: &Arc<AuthSubject>,
    ) -> VisitorShare {
        self.visitors.lock().insert(connection, Arc::clone(about));
        VisitorShare {
            connection,
            sessions: Arc::clone(self),
        }
    }

    /// Records that the browser holds these cookies now in place of those it came with. Who it is stays
    /// open until Django is asked. Gives the sessions of the old ones.
    pub(in crate::session) fn replace(
        &self,
        old: &SessionDigest,
        renewal: &Renewal,
    ) -> Vec<LiveSubject> {
        self.locked().table.replace(old, renewal)
    }

    /// Closes the sessions of a session cookie. Returns how many connections were closed.
    pub(in crate::session) fn end(&self, session: &SessionDigest, reason: &CloseReason) -> usize {
        let mut locked = self.locked();
        let ids = locked.table.of_session(session).into_iter();
        ids.map(|id| locked.close(id, reason)).sum()
    }

    /// Moves the end of the sessions of a session cookie, as far as `how` allows; Django is asked then.
    pub(in crate::session) fn move_end(
        &self,
        session: &SessionDigest,
        end: SystemTime,
        how: Moving,
    ) {
        self.locked().move_end(session, end, how);
    }

    /// Acts upon what Django said of a session, or did not. Returns how many connections were closed.
    pub(in crate::session) fn settle(
        &self,
        subject: &LiveSubject,
        result: RecheckResult<'_>,
    ) -> usize {
        self.locked().settle(subject, result)
    }

    /// Takes up to `most` sessions whose turn it is to be asked about.
    pub(in crate::session) fn take_turn(&self, most: usize) -> Vec<LiveSubject> {
        self.locked().table.take_turn(most)
    }

    /// Ends the turn of sessions that were asked about without it; those about which Django gave no
    /// judgement are next.
    pub(in crate::session) fn end_turn(&self, sessions: &[LiveSubject], interval: Duration) {
        self.locked().table.end_turn(sessions, interval);
    }

    /// Takes up to `most` sessions whose end has come, each once: it may have been put off.
    pub(in crate::session) fn take_ended(&self, most: usize) -> Vec<LiveSubject> {
        self.locked().table.take_ended(SystemTime::now(), most)
    }

    /// Closes the sessions about which Django has given no judgement for longer than `grace`.
    pub(in crate::session) fn give_up(&self, grace: Duration) {
        self.locked().give_up(grace);
    }

    fn leave(&self, id: LiveId) {
        let mut locked = self.locked();
        if let Some(live) = locked.table.get_mut(id) {
            live.connections -= 1;
            if live.connections == 0 {
                locked.table.remove(id);
            }
        }
    }

    fn locked(&self) -> Locked<'_> {
        Locked {
            table: self.table.lock(),
            hub: &self.hub,
        }
    }
}

/// A visitor that views can be asked about; dropping it forgets them.
#[derive(Debug)]
pub struct VisitorShare {
    connection: ConnectionId,
    sessions: Arc<LiveSessions>,
}

impl Drop for VisitorShare {
    fn drop(&mut self) {
        self.sessions.visitors.lock().remove(&self.connection);
    }
}

impl SessionMember {
    /// The connection.
    pub fn member(&self) -> &Member {
        self.membership.member()
    }

    /// What Django is asked about its session now; `None` where that has just ended.
    pub fn subject(&self) -> Option<AuthSubject> {
        let table = self.share.sessions.table.lock();
        Some(table.get(self.share.session)?.question())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.sessions.leave(self.session);
    }
}
