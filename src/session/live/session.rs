//! One session with connections here, whatever they are.
//!
//! Kept in `table`. What is given out of it is a [`LiveSubject`], a question for Django and no session: by
//! the time Django has answered, the session may have gone or changed.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::browsers::Browser;
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::SessionDigest;
use crate::session::cookie::SessionCookies;
use crate::session::question::AuthSubject;

/// With more, the oldest are forgotten: a browser has only so many requests under way.
const MOST_ALIASES: usize = 16;

/// One live session of this process.
pub(in crate::session) type LiveId = u64;

/// A session with connections here, however many.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) identity: Arc<Identity>,
    pub(super) cookies: SessionCookies,
    /// The first bits of further digests that it is found by.
    pub(super) aliases: Vec<u64>,
    pub(super) browser: Arc<Browser>,
    pub(super) address: std::net::IpAddr,
    /// When Django was asked for what is known.
    pub(super) asked: Instant,
    /// When it joined the row or was asked about last, whatever came of it; the key of its turn.
    pub(super) checked: Instant,
    pub(super) connections: u32,
    /// Whether Django was asked since and gave no judgement.
    pub(super) failed: bool,
}

/// The cookies that took another one's place.
#[derive(Clone, Debug)]
pub(in crate::session) struct Renewal {
    pub(in crate::session) cookies: SessionCookies,
    pub(in crate::session) digests: Box<[SessionDigest]>,
    /// The old one, where it is signed: it stays good.
    pub(in crate::session) signed: Option<SessionDigest>,
    /// When the response came that brought them.
    pub(in crate::session) at: Instant,
}

/// A live session that Django is asked about.
#[derive(Clone, Debug)]
pub(in crate::session) struct LiveSubject {
    pub(in crate::session) id: LiveId,
    pub(in crate::session) about: AuthSubject,
}

impl Live {
    /// What it is found by: the digests of the cookies that Django was asked about, and its aliases.
    pub(super) fn names(&self) -> impl Iterator<Item = u64> {
        let sessions = self.identity.sessions.iter().map(SessionDigest::first_bits);
        sessions.chain(self.aliases.iter().copied())
    }

    /// Gives it other cookies. Requests of one browser overlap, and several responses may each write the
    /// same signed cookie again: a session is found by what such a cookie was of late, too.
    pub(super) fn rename(&mut self, renewal: &Renewal) {
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

    /// When it ends by itself, as far as is known and not past.
    pub(super) fn end_to_come(&self) -> Option<SystemTime> {
        let end = self.identity.expires_at;
        end.filter(|end| *end > SystemTime::now())
    }

    /// Why it closes where Django says that nobody is logged in.
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
