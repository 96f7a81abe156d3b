//! What following sessions is made of, and its terms.
//!
//! Made by the composition root; shared by `lifecycle` and `rechecks`.

use std::sync::Arc;
use std::time::Duration;

use super::LiveSessions;
use super::asker::Asker;
use crate::hub::{Acquaintance, Hub};
use crate::ids::{SessionDigest, UserId};
use crate::net::drain::DrainWatch;
use crate::session::cookie::{SessionAt, SessionCookies};
use crate::session::lease::Leases;
use crate::session::question::AuthSubject;

/// How live sessions are kept up to date.
#[derive(Clone, Copy, Debug)]
pub struct LifecycleSettings {
    /// `auth.revalidate`: how often Django is asked again about each.
    pub revalidate: Duration,
    /// `auth.grace`: how long they are kept while Django gives no judgement.
    pub grace: Duration,
}

/// What the lifecycle talks to.
#[derive(Clone, Debug)]
pub struct LifecycleParts {
    /// The sessions with connections here.
    pub live: Arc<LiveSessions>,
    /// Asks Django.
    pub asker: Arc<dyn Asker>,
    /// What is relied upon without asking.
    pub leases: Arc<Leases>,
    /// Their connections.
    pub hub: Arc<Hub>,
    /// Runs what takes a while.
    pub drain: DrainWatch,
}

impl LifecycleParts {
    /// What names the session of these cookies in logs, leases and the hub.
    pub(super) fn digest(&self, cookies: &SessionCookies) -> Option<SessionDigest> {
        self.digests(cookies).first().copied()
    }

    /// The same under the secret and the one before.
    pub(super) fn digests(&self, cookies: &SessionCookies) -> Box<[SessionDigest]> {
        self.leases.digests(cookies)
    }

    /// Whose session this is, as far as is known here.
    pub(super) fn user_of(&self, session: &SessionCookies, at: &AuthSubject) -> Option<UserId> {
        let digest = self.digest(session)?;
        let live = self.live.user_of(&digest);
        live.or_else(|| {
            self.leases.user_of(SessionAt {
                host: &at.host,
                cookies: session,
            })
        })
    }

    /// Whether anything is known of a session, so that its end must not be forgotten.
    pub(super) fn acquaintance(&self, session: &SessionCookies) -> Acquaintance {
        let known = |session| {
            let live = &self.live;
            live.user_of(&session).is_some() || self.leases.knows(&session)
        };
        if self.digest(session).is_some_and(known) {
            Acquaintance::Known
        } else {
            Acquaintance::Stranger
        }
    }

    /// Waits; false when the gateway goes away meanwhile.
    pub(super) async fn is_over(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.drain.draining() => false,
        }
    }
}
