//! What becomes of the sockets of a session when something happens to the session.
//!
//! `django` calls it for the cookies on Django's responses, `publish` for what Django wants. The surprise: a
//! cookie that is replaced says nothing of who is logged in now (a password change, a login and a logout
//! all replace it), so Django is asked once, and only the user decides.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::close::CloseReason;
use crate::hub::{Acquaintance, Member};
use crate::identity::Identity;
use crate::ids::{ConnectionId, SessionDigest, UserId};
use crate::publication::Audience;
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::cookie::SessionCookies;
use crate::session::live::doubts::Doubts;
use crate::session::live::locked::Moving;
use crate::session::live::parts::{LifecycleParts, LifecycleSettings};
use crate::session::live::rechecks::Rechecks;
pub(in crate::session) use crate::session::live::replacement::Replacement;
use crate::session::live::revalidate;
use crate::session::live::session::{LiveSubject, Renewal};
use crate::session::live::{SessionMember, VisitorShare};
use crate::session::question::{AuthSubject, Judged};

/// Follows what happens to sessions.
#[derive(Debug)]
pub struct Lifecycle {
    pub(super) parts: LifecycleParts,
    pub(in crate::session) rechecks: Arc<Rechecks>,
    pub(super) doubts: Doubts,
}

impl Lifecycle {
    /// Follows the sessions of these parts.
    pub fn new(settings: LifecycleSettings, parts: LifecycleParts) -> Self {
        Self {
            rechecks: Arc::new(Rechecks::new(settings, parts.clone())),
            parts,
            doubts: Doubts::default(),
        }
    }

    /// Keeps to other settings from now on.
    pub fn adopt(&self, settings: LifecycleSettings) {
        self.rechecks.settings.set(settings);
    }

    /// Finds sessions by digests of other secrets from now on, which leases have already.
    pub fn rename(&self, before: &Secrets, now: &Secrets) {
        self.parts.live.rename(before, now);
    }

    /// Keeps live sessions up to date until the gateway goes away.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        revalidate::run(Arc::clone(&self.rechecks))
    }

    /// Makes a connection of a session with a user, unless what Django said was revoked or overtaken since.
    /// `about` is what Django was asked about, and will be again.
    pub fn join(
        &self,
        about: &AuthSubject,
        judged: Judged,
        connect: impl FnOnce(Arc<Identity>) -> Member,
    ) -> Result<SessionMember, CloseReason> {
        self.parts.live.join(about, judged, connect)
    }

    /// Remembers what views can be asked about a visitor.
    pub fn visit(&self, connection: ConnectionId, about: &Arc<AuthSubject>) -> VisitorShare {
        self.parts.live.visit(connection, about)
    }

    /// Why this session is refused, if it is: it ended within the last minute, or has
    /// just got another cookie, and Django need not be asked.
    pub fn refusal(&self, session: &SessionCookies) -> Option<CloseReason> {
        // It may have ended under the secret before.
        let sessions = self.parts.digests(session);
        let ended = |session: &SessionDigest| self.parts.hub.ended(*session);
        let crossed = |session: &SessionDigest| self.parts.live.is_crossed(session);
        sessions.iter().find_map(ended).or_else(|| {
            let crossed = sessions.iter().any(crossed);
            crossed.then_some(CloseReason::SessionChanged)
        })
    }

    /// What a client is told that comes while the gateway goes away.
    pub fn going_away(&self) -> CloseReason {
        self.parts.hub.going_away()
    }

    /// Django took the cookie of this session away. Returns how many connections were closed.
    pub fn ended(&self, old: &SessionCookies, reason: &'static str) -> usize {
        let reason = CloseReason::SessionEnded(reason.into());
        let known = self.parts.acquaintance(old);
        let close = |session| {
            if known == Acquaintance::Stranger {
                self.parts.hub.refuse_stranger(session, &reason);
                return 0;
            }
            let bound = self.parts.hub.close(&Audience::Session(session), &reason);
            // Those to be bound to it are as much its own.
            bound + self.parts.live.end(&session, &reason)
        };
        self.parts.digests(old).into_iter().map(close).sum()
    }

    /// Django put another session in the place of this one.
    pub(in crate::session) fn replaced(&self, old: &SessionCookies, by: Replacement) {
        if by.new.cookies.is_same_session(old) {
            return self.renewed(&by.new.cookies, None);
        }
        if old.is_signed() {
            return self.rewritten(old, &by);
        }
        let Replacement { new, known, at } = by;
        let before = self.parts.user_of(old, &new);
        self.lift(&new.cookies);
        self.supersede(old);
        let sockets = self.take_over(old, &new.cookies, at);
        if let Some(user) = &before {
            let user = Audience::User(user.clone());
            self.parts.hub.outdate(&user, at.into_std());
        }
        match known {
            Some(answer) => {
                self.record_answer(&new, &answer, &sockets);
                self.rechecks.spawn_others(answer.user, &new.cookies, at);
            }
            None if sockets.is_empty() && !self.concerns_others(before.as_ref()) => {}
            None => self.rechecks.spawn_takeover(sockets, new, at),
        }
    }

    /// Django wrote a signed session anew, as it does with every change in it: seldom for a login or a new
    /// password. The old value stays good, since Django cannot take it back.
    fn rewritten(&self, old: &SessionCookies, by: &Replacement) {
        let before = self.parts.user_of(old, &by.new);
        self.lift(&by.new.cookies);
        let sockets = self.take_over(old, &by.new.cookies, by.at);
        match &by.known {
            Some(answer) => self.record_answer(&by.new, answer, &sockets),
            None => self.rechecks.ask_when_calm(before),
        }
    }

    /// Django said on the way who a session is that takes these over.
    fn record_answer(&self, new: &AuthSubject, answer: &Answer, sockets: &[LiveSubject]) {
        // Said of the change itself, so newer than it.
        let asked = Instant::now();
        let leases = &self.parts.leases;
        leases.grant(new.session(), answer, asked.into_std());
        self.rechecks.settle(sockets, Ok(answer), asked);
    }

    /// Django said on a page who a session is; its lease says so from now on.
    pub fn heard(&self, cookies: &SessionCookies, answer: &Answer) {
        if let (Some(session), Some(end)) = (self.parts.digest(cookies), answer.expires_at) {
            self.parts.live.move_end(&session, end, Moving::Sooner);
        }
    }

    /// Django set the same session once more.
    pub fn renewed(&self, cookies: &SessionCookies, max_age: Option<Duration>) {
        let Some(session) = self.parts.digest(cookies) else {
            return;
        };
        self.parts.hub.lift(session);
        let live = &self.parts.live;
        match max_age.and_then(|age| SystemTime::now().checked_add(age)) {
            Some(end) => {
                live.move_end(&session, end, Moving::BothWays);
                self.parts.leases.shorten(&session, end);
            }
            None if live.is_ending(&session, 2 * self.rechecks.settings.get().revalidate) => {
                self.rechecks.ask_when_calm(live.user_of(&session));
            }
            // Its turn comes in time.
            None => {}
        }
    }

    /// Asks Django again about every session of a user, and closes those that are no longer good, whether
    /// or not the future is awaited. Gives how many connections were closed.
    pub fn recheck_user(&self, user: &UserId) -> impl Future<Output = usize> + Send + use<> {
        self.recheck_all(&[Audience::User(user.clone())])
    }

    /// Asks Django again about all who are in one of these audiences. Otherwise as [`Self::recheck_user`].
    pub fn recheck_all(
        &self,
        audiences: &[Audience],
    ) -> impl Future<Output = usize> + Send + use<> {
        let at = Instant::now().into_std();
        let mut ended = 0;
        for audience in audiences {
            self.parts.hub.outdate(audience, at);
            ended += self.parts.hub.end_handed_over(audience);
        }
        let closed = match audiences {
            [Audience::User(user)] => self.rechecks.spawn_user_recheck(user),
            _ => self
                .rechecks
                .spawn_recheck(self.parts.live.of_all(audiences)),
        };
        async move { ended + closed.await.unwrap_or_default() }
    }

    /// Asks Django again about one session. Otherwise as [`Self::recheck_user`].
    pub fn recheck_session(
        &self,
        session: &SessionDigest,
    ) -> impl Future<Output = usize> + Send + use<> {
        let audience = Audience::Session(*session);
        self.parts.hub.outdate(&audience, Instant::now().into_std());
        let ended = self.parts.hub.end_handed_over(&audience);
        let closed = self
            .rechecks
            .spawn_recheck(self.parts.live.of_session(session));
        async move { ended + closed.await.unwrap_or_default() }
    }

    /// Whether Django named the user of a session, and did not end it since: it has connections here, or a lease.
    pub fn is_named(&self, session: &SessionDigest) -> bool {
        self.parts.live.user_of(session).is_some() || self.parts.leases.names(session)
    }

    /// How many connections the user of a session has; `None` where the session has none here.
    pub fn online(&self, session: &SessionDigest) -> Option<usize> {
        let user = self.parts.live.user_of(session)?;
        Some(self.parts.hub.online(&user))
    }

    /// The sessions to which this one's connections here are bound; none: it has no connections here.
    pub fn bound_to(&self, cookies: &SessionCookies) -> Box<[SessionDigest]> {
        let session = self.parts.digest(cookies);
        session.map_or_else(Box::default, |session| self.parts.live.bound_to(&session))
    }

    /// This session admits no handshake any more.
    fn supersede(&self, old: &SessionCookies) {
        let ended = CloseReason::SessionEnded("session ended".into());
        let of = self.parts.acquaintance(old);
        for session in self.parts.digests(old) {
            self.parts.hub.supersede(session, of, &ended);
        }
    }

    /// This session is good, whatever was said before.
    fn lift(&self, new: &SessionCookies) {
        for session in self.parts.digests(new) {
            self.parts.hub.lift(session);
        }
    }

    /// Has the sockets of the old session be the new one's. Gives what Django is asked about them.
    fn take_over(
        &self,
        old: &SessionCookies,
        new: &SessionCookies,
        at: Instant,
    ) -> Vec<LiveSubject> {
        let Some(session) = self.parts.digest(old) else {
            return Vec::new();
        };
        let renewal = Renewal {
            cookies: new.clone(),
            digests: self.parts.digests(new),
            signed: old.is_signed().then_some(session),
            at,
        };
        self.parts.live.replace(&session, &renewal)
    }

    /// Whether a user is connected here whose other session this might have been.
    fn concerns_others(&self, user: Option<&UserId>) -> bool {
        let hub = &self.parts.hub;
        user.map_or(!hub.is_empty(), |user| hub.online(user) > 0)
    }
}
