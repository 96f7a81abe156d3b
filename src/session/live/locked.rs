//! The table under its lock, together with the hub: what happens to a session happens to its connections.
//!
//! Made by [`LiveSessions`](super::LiveSessions). The lock is held from looking a session up to the end of
//! what follows from it in the hub, so that no connection joins in between and is missed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::MutexGuard;
use tokio::time::Instant;

use super::session::{Live, LiveId, LiveSubject};
use super::table::Table;
use crate::close::CloseReason;
use crate::hub::Hub;
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::publication::Audience;
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::error::AuthError;
use crate::session::question::{AuthSubject, Judged};

/// Ends are told in whole seconds: what is sooner by less is the same.
const ROUNDING: Duration = Duration::from_secs(1);

/// Which way an end may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Moving {
    BothWays,
    /// A page may tell an end that was moved on since.
    Sooner,
}

/// Table and hub.
pub(super) struct Locked<'a> {
    pub(super) table: MutexGuard<'a, Table>,
    pub(super) hub: &'a Arc<Hub>,
}

/// What Django said of a session when it was asked again.
#[derive(Debug)]
pub(in crate::session) struct RecheckResult<'a> {
    pub(in crate::session) answer: Result<&'a Answer, &'a AuthError>,
    /// The digests of the cookies that it was asked about.
    pub(in crate::session) sessions: Box<[SessionDigest]>,
    pub(in crate::session) asked: Instant,
    /// How long a session is kept about which Django gives no judgement.
    pub(in crate::session) grace: Duration,
}

impl Locked<'_> {
    /// The session that a handshake belongs to, which knows what the handshake learned.
    pub(super) fn session_of(
        &mut self,
        about: &AuthSubject,
        judged: Judged,
    ) -> Result<LiveId, CloseReason> {
        let Judged { identity, asked } = &judged;
        // Before anything is changed: what is out of date must not become known.
        if let Some(reason) = self.hub.revoked(identity, *asked) {
            return Err(reason);
        }
        let (digest, asked) = (identity.sessions.first(), Instant::from(*asked));
        if digest.is_some_and(|digest| self.table.crossings.has_crossed(digest, asked)) {
            return Err(CloseReason::SessionChanged);
        }
        let known = digest.map_or_else(Vec::new, |digest| self.table.find(about, digest));
        let of = |id: &LiveId| self.table.get(*id);
        let is_own = |id: &LiveId| of(id).is_some_and(|live| live.identity.user == identity.user);
        let is_newer = |id: &LiveId| of(id).is_some_and(|live| live.asked > asked);
        let (own, others): (Vec<_>, Vec<_>) = known.into_iter().partition(is_own);
        if others.iter().any(is_newer) {
            return Err(CloseReason::SessionChanged);
        }
        let own = own.first().map(|id| (*id, is_newer(id)));
        for id in others {
            self.close(id, &CloseReason::AnotherUser);
        }
        match own {
            Some((id, true)) => Ok(id),
            Some((id, false)) => {
                self.confirm(id, judged);
                Ok(id)
            }
            None => Ok(self.table.insert(about, judged.identity, asked)),
        }
    }

    /// Acts upon what Django said of a session, or did not. Returns how many connections were closed.
    pub(super) fn settle(&mut self, subject: &LiveSubject, result: RecheckResult<'_>) -> usize {
        self.table.outage = result.answer.err().map(AuthError::outage);
        let Some(live) = self.table.get_mut(subject.id) else {
            return 0;
        };
        if live.cookies != subject.about.cookies || live.asked > result.asked {
            return 0;
        }
        let answer = match result.answer {
            Ok(answer) => answer,
            Err(error) => {
                live.failed = true;
                let over = live.asked.elapsed() >= result.grace;
                return if over {
                    self.close(subject.id, &error.outage())
                } else {
                    0
                };
            }
        };
        let (user, asked) = (live.identity.user.clone(), result.asked.into());
        match answer.identity(result.sessions) {
            Some(identity) if identity.user == user => {
                // What outdated it has it asked about again.
                if self.hub.revoked(&identity, asked) != Some(CloseReason::SessionChanged) {
                    self.confirm(subject.id, Judged { identity, asked });
                }
                0
            }
            other => {
                let reason = other.map_or_else(|| live.end(), |_| CloseReason::AnotherUser);
                for session in &live.identity.sessions {
                    // Handshakes that asked before come too late.
                    self.hub.outdate(&Audience::Session(*session), asked);
                }
                self.close(subject.id, &reason)
            }
        }
    }

    /// Moves the end of the sessions of a session cookie. Nothing is closed then unless Django says so.
    pub(super) fn move_end(&mut self, session: &SessionDigest, end: SystemTime, how: Moving) {
        for id in self.table.of_session(session) {
            let Some(live) = self.table.get(id) else {
                continue;
            };
            let old = live.identity.expires_at;
            let is_later = old.is_some_and(|old| old < end);
            let is_sooner = old.is_none_or(|old| end + ROUNDING < old);
            if is_sooner || is_later && how == Moving::BothWays {
                let mut identity = Identity::clone(&live.identity);
                identity.expires_at = Some(end);
                let identity = Arc::new(identity);
                if let Some(old) = self.table.set_identity(id, Arc::clone(&identity)) {
                    self.hub.prolong(&old, &identity);
                }
            }
        }
    }

    /// Has sessions, and their connections, found by digests of other secrets. Nothing new is said of who they are; one
    /// that has just got another cookie is asked about, and gets its digests with the answer.
    pub(super) fn rename(&mut self, before: &Secrets, now: &Secrets) {
        let of_its_cookies =
            |(_, live): &(LiveId, &Live)| live.identity.sessions == live.cookies.digests(before);
        let sessions = self.table.iter().filter(of_its_cookies);
        let renamed: Vec<_> = sessions
            .map(|(id, live)| {
                let mut identity = Identity::clone(&live.identity);
                identity.sessions = live.cookies.digests(now);
                (id, Arc::new(identity))
            })
            .collect();
        for (id, identity) in renamed {
            if let Some(old) = self.table.set_identity(id, Arc::clone(&identity)) {
                self.hub.prolong(&old, &identity);
            }
        }
    }

    /// Closes the sessions about which Django has given no judgement for longer than `grace`. When it is
    /// back, they wait for their turn like all others.
    pub(super) fn give_up(&mut self, grace: Duration) {
        let Some(outage) = self.table.outage.clone() else {
            return;
        };
        let sessions = self.table.iter();
        let over = sessions.filter(|(_, live)| live.failed && live.asked.elapsed() >= grace);
        for id in over.map(|(id, _)| id).collect::<Vec<_>>() {
            self.close(id, &outage);
        }
    }

    /// Forgets a session and closes its connections.
    pub(super) fn close(&mut self, id: LiveId, reason: &CloseReason) -> usize {
        self.table
            .remove(id)
            .map_or(0, |live| self.hub.close_bound(&live.identity, reason))
    }

    /// Records what Django said of a session whose user is the same, and when.
    fn confirm(&mut self, id: LiveId, judged: Judged) {
        let Some(live) = self.table.get_mut(id) else {
            return;
        };
        (live.asked, live.failed) = (judged.asked.into(), false);
        let mut identity = judged.identity;
        // Not every engine knows when a session ends; then what the browser was told stands.
        identity.expires_at = identity.expires_at.or_else(|| live.end_to_come());
        if *live.identity == identity {
            return;
        }
        let identity = Arc::new(identity);
        if let Some(old) = self.table.set_identity(id, Arc::clone(&identity)) {
            self.hub.rebind(&old, &identity, judged.asked);
        }
    }
}
