//! What becomes of a client when its judgement is known.
//!
//! Decided by `pending_handshake` and `welcome`, carried out by the handshake.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::topics::Greeting;
use super::visitors::Attendance;
use crate::close::CloseReason;

/// What becomes of a connection.
pub(super) enum Outcome {
    Echo,
    Close(CloseReason),
    /// Close 4001 or 4003, after a while.
    StayAway(CloseReason, Duration),
    Serve {
        joined: Attendance,
        greeting: Greeting,
    },
}

impl Outcome {
    /// Whether its session lives, as Django has just said: the browser goes on with the cookies that came
    /// along, here or when it comes back.
    pub(super) fn is_of_a_session(&self) -> bool {
        matches!(
            self,
            Self::Serve {
                joined: Attendance::Session(_),
                ..
            } | Self::Close(CloseReason::SessionChanged)
        )
    }
}

/// What becomes of a connection, and the `Set-Cookie` fields for its 101.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) set_cookies: Vec<HeaderValue>,
}

impl Settled {
    /// Adds its cookies to a 101. Returns whether a session that lives goes on with them.
    pub(super) fn add_cookies(&self, fields: &mut HeaderMap) -> bool {
        for cookie in &self.set_cookies {
            fields.append(header::SET_COOKIE, cookie.clone());
        }
        self.outcome.is_of_a_session() && !self.set_cookies.is_empty()
    }
}

impl From<Outcome> for Settled {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            set_cookies: Vec::new(),
        }
    }
}

/// What tells a client from others behind its address, for [`LoginThrottle`].
///
/// [`LoginThrottle`]: super::LoginThrottle
#[derive(Clone, Copy)]
pub(super) struct Visitor<'a> {
    pub(super) address: IpAddr,
    pub(super) user_agent: Option<&'a HeaderValue>,
    pub(super) session: Option<&'a HeaderValue>,
}

impl<'a> Visitor<'a> {
    pub(super) fn of(
        address: IpAddr,
        headers: &'a HeaderMap,
        session: Option<&'a HeaderValue>,
    ) -> Self {
        Self {
            address,
            user_agent: headers.get(header::USER_AGENT),
            session,
        }
    }
}
