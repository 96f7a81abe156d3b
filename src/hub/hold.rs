//! Closes that wait until a browser has the response that is on its way to it.
//!
//! `django` begins a [`Hold`] for a response that may end the session of its own browser; the hub closes
//! through [`Holds`]. The code that closes knows nothing of it. What a page does when its socket closes would
//! otherwise cut off the very answer that closes it: "logged out" would be a login page.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::member::Member;
use crate::close::CloseReason;
use crate::ids::SessionDigest;

/// While it lives, connections of its sessions that are to be closed are silent and stay; dropping it
/// closes them.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    sessions: Box<[SessionDigest]>,
    held: Arc<Held>,
}

/// The connections that a hold keeps.
#[derive(Debug, Default)]
struct Held {
    members: Mutex<HeldMembers>,
    /// Notified when one of them leaves.
    left: Arc<Notify>,
}

#[derive(Debug)]
enum HeldMembers {
    Waiting(Vec<Weak<Member>>),
    /// The hold is over.
    Closed,
}

/// The holds of all sessions, which nearly always are none.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The last one counts: it is of the response that has just come.
    by_session: Mutex<HashMap<SessionDigest, Vec<Arc<Held>>>>,
    count: AtomicUsize,
}

impl Hold {
    /// Waits until one of the connections has left by itself: a page has gone elsewhere.
    pub async fn somebody_left(&self) {
        self.held.left.notified().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.end(&self.sessions, &self.held);
        self.held.release();
    }
}

impl Held {
    fn close(&self, member: &Arc<Member>, reason: &CloseReason) -> bool {
        let mut members = self.lock();
        let HeldMembers::Waiting(waiting) = &mut *members else {
            return member.outbox.close(reason);
        };
        let silenced = member.outbox.hold(reason, &self.left);
        if silenced {
            waiting.push(Arc::downgrade(member));
        }
        silenced
    }

    fn release(&self) {
        let members = std::mem::replace(&mut *self.lock(), HeldMembers::Closed);
        if let HeldMembers::Waiting(waiting) = members {
            let waiting = waiting.iter().filter_map(Weak::upgrade);
            waiting.for_each(|member| member.outbox.release());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HeldMembers> {
        self.members.lock()
    }
}

impl Default for HeldMembers {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl Holds {
    /// Begins to hold back the closes of these sessions' connections.
    pub(super) fn hold(self: &Arc<Self>, sessions: Box<[SessionDigest]>) -> Hold {
        let held = Arc::new(Held::default());
        self.begin(&sessions, &held);
        Hold {
            holds: Arc::clone(self),
            sessions,
            held,
        }
    }

    /// Closes a connection, or silences it while its session is held. False where it is closing already.
    pub(super) fn close(&self, member: &Arc<Member>, reason: &CloseReason) -> bool {
        match self.of(member) {
            Some(held) => held.close(member, reason),
            None => member.outbox.close(reason),
        }
    }

    fn begin(&self, sessions: &[SessionDigest], held: &Arc<Held>) {
        let mut by_session = self.lock();
        for session in sessions {
            let holds = by_session.entry(*session).or_default();
            holds.push(Arc::clone(held));
        }
        self.count.store(by_session.len(), Ordering::Release);
    }

    fn end(&self, sessions: &[SessionDigest], held: &Arc<Held>) {
        let mut by_session = self.lock();
        for session in sessions {
            if let Some(holds) = by_session.get_mut(session) {
                holds.retain(|one| !Arc::ptr_eq(one, held));
                if holds.is_empty() {
                    by_session.remove(session);
                }
            }
        }
        self.count.store(by_session.len(), Ordering::Release);
    }

    fn of(&self, member: &Member) -> Option<Arc<Held>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let (by_session, identity) = (self.lock(), member.identity());
        let sessions = identity.sessions.iter();
        let mut holds = sessions.filter_map(|session| by_session.get(session)?.last());
        holds.next().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionDigest, Vec<Arc<Held>>>> {
        self.by_session.lock()
    }
}
