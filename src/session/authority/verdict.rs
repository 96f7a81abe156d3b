//! What a handshake is told: what Django has just said of its session, or what is relied upon.
//!
//! Made by the authority, for `socket`.

use std::time::Instant;

use http::HeaderValue;

use crate::identity::Identity;
use crate::publication::Frame;
use crate::session::answer::GrantedTopics;
use crate::session::authority::single_flight::Judgement;
use crate::session::lease::Lease;

/// What Django says of a session.
#[derive(Debug)]
pub enum Verdict {
    /// Nobody is logged in. With the answer's `Set-Cookie` fields: the browser may have to drop a session
    /// that is over.
    Anonymous(Vec<HeaderValue>),
    /// Somebody is.
    LoggedIn(LoggedIn),
    /// Nobody is, and a view lets visitors listen.
    Visitor(LetIn),
    /// A view refuses this client (403, 404).
    Refused,
}

/// A session with a user.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who it is.
    pub identity: Identity,
    /// What the connection gets first.
    pub frames: Vec<Frame>,
    /// The answer's `Set-Cookie` fields, for the handshake's answer.
    pub set_cookies: Vec<HeaderValue>,
    /// When Django was asked: a revocation since then wins.
    pub asked: Instant,
    /// What a view lets listen to, where one was asked.
    pub listening: Option<GrantedTopics>,
}

/// A visitor, whom a view lets listen.
#[derive(Debug)]
pub struct LetIn {
    /// To what.
    pub listening: GrantedTopics,
    /// What the connection gets first.
    pub frames: Vec<Frame>,
    /// When Django was asked.
    pub asked: Instant,
}

/// What an answer or a lease says.
struct Found {
    identity: Option<Identity>,
    frames: Vec<Frame>,
    listening: Option<GrantedTopics>,
    asked: Instant,
}

impl Found {
    fn verdict(self, set_cookies: Vec<HeaderValue>) -> Verdict {
        let Self {
            identity,
            frames,
            listening,
            asked,
        } = self;
        match (identity, listening) {
            (Some(identity), listening) => Verdict::LoggedIn(LoggedIn {
                identity,
                frames,
                set_cookies,
                asked,
                listening,
            }),
            (None, Some(listening)) => Verdict::Visitor(LetIn {
                listening,
                frames,
                asked,
            }),
            (None, None) => Verdict::Anonymous(set_cookies),
        }
    }
}

impl Verdict {
    /// What Django has just said, of a session with this identity.
    pub(in crate::session) fn of_judgement(
        judgement: &Judgement,
        identity: Option<Identity>,
    ) -> Self {
        let found = Found {
            identity,
            frames: judgement.answer.frames.clone(),
            listening: judgement.answer.listening.clone(),
            asked: judgement.asked,
        };
        found.verdict(judgement.set_cookies.clone())
    }

    /// What is relied upon.
    pub(in crate::session) fn of_lease(lease: &Lease) -> Self {
        let found = Found {
            identity: lease.identity.clone(),
            frames: lease.frames.to_vec(),
            listening: lease.listening.clone(),
            asked: lease.asked,
        };
        found.verdict(Vec::new())
    }
}
