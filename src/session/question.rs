//! What Django is told of a session when it is asked who that is.
//!
//! A handshake makes a [`Question`]; of its [`Recheck`], which is all that is needed to ask again later,
//! a live session keeps a copy. The surprise: values are copied out of the handshake's head, which a
//! shared one would keep in memory as a whole.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cookie::SessionCookies;
use super::lease::SessionAt;
use crate::ids::RequestId;

/// What it takes to ask Django of a session again.
#[derive(Clone, Debug)]
pub struct Recheck {
    /// The picked cookies.
    pub cookies: SessionCookies,
    /// The origin's authority as the browser wrote it.
    pub host: HeaderValue,
    /// The client's address.
    pub address: IpAddr,
    /// The browser's `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// The browser's `Accept-Language`.
    pub accept_language: Option<HeaderValue>,
    /// The page's `Origin`.
    pub origin: Option<HeaderValue>,
}

/// A handshake's session, to be judged.
#[derive(Clone, Debug)]
pub struct Question {
    /// The session and its browser.
    pub about: Recheck,
    /// The handshake's path and query.
    pub target: Box<str>,
    /// Names the handshake.
    pub request_id: RequestId,
}

impl Recheck {
    /// The session, for its lease.
    pub fn session(&self) -> SessionAt<'_> {
        SessionAt {
            host: &self.host,
            cookies: &self.cookies,
        }
    }

    /// What is needed of a request with these headers.
    pub fn of(
        cookies: SessionCookies,
        headers: &HeaderMap,
        host: &HeaderValue,
        address: IpAddr,
    ) -> Self {
        let field = |name: HeaderName| headers.get(name).map(copy);
        Self {
            cookies,
            host: copy(host),
            address,
            user_agent: field(header::USER_AGENT),
            accept_language: field(header::ACCEPT_LANGUAGE),
            origin: field(header::ORIGIN),
        }
    }
}

/// A value with bytes of its own.
pub(super) fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}
