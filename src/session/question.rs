//! What Django is asked about: a session, its browser, and the handshake that it comes with.
//!
//! A handshake makes a [`Question`]; of its [`AuthSubject`], which is all that is needed to ask again later,
//! a live session keeps a copy. Values are copied out of the handshake's head, which a shared one would keep
//! in memory as a whole; and since thousands may wait with one, what no browser sends is not kept: a field
//! of more than 1 KiB is left out, a target of more than 2 KiB loses its query. With the picked cookies (at
//! most 8 KiB) a question is below 14 KiB.

use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::identity::Identity;
use crate::ids::{RequestName, ViewTarget};
use crate::proxy::intercept::RequestSummary;
use crate::session::cookie::{SessionAt, SessionCookies};

/// A longer field is left out.
const LONGEST_FIELD: usize = 1024;
/// A longer target loses its query; its path is a socket route's.
pub const LONGEST_TARGET: usize = 2048;

/// What it takes to ask Django about a session again.
#[derive(Clone, Debug)]
pub struct AuthSubject {
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

/// A session to be judged: a handshake's, or that of a connection which wants to listen to more.
#[derive(Clone, Debug)]
pub struct Question {
    /// The session and its browser.
    pub about: AuthSubject,
    /// The path and query, see [`Self::target_of`].
    pub target: Box<str>,
    /// Names the handshake, where it is one.
    pub request: Option<RequestName>,
    /// The view that is asked who may listen, in place of the auth view.
    pub view: Option<ViewTarget>,
}

/// What it takes to ask a view again who may listen.
#[derive(Clone, Debug)]
pub struct ViewSubject {
    /// The session and its browser.
    pub about: AuthSubject,
    /// The view.
    pub view: ViewTarget,
}

/// Who a session is, as Django said.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Who it is.
    pub identity: Identity,
    /// When Django was asked: what happened since, it may not know of.
    pub asked: Instant,
}

impl AuthSubject {
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
        let field = |name: HeaderName| {
            let value = headers.get(name)?;
            (value.len() <= LONGEST_FIELD).then(|| copy(value))
        };
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

impl AuthSubject {
    /// What is needed of a request that Django has answered, whose browser has these cookies since.
    pub fn after(asked: &RequestSummary, cookies: SessionCookies) -> Self {
        let known = [
            (header::USER_AGENT, &asked.user_agent),
            (header::ACCEPT_LANGUAGE, &asked.accept_language),
            (header::ORIGIN, &asked.origin),
        ];
        let known = known.into_iter();
        let known = known.filter_map(|(name, value)| Some((name, value.clone()?)));
        let fields: HeaderMap = known.collect();
        Self::of(cookies, &fields, &asked.host, asked.address)
    }
}

impl Question {
    /// Path and query of a handshake, as far as Django is told of them.
    pub fn target_of(uri: &Uri) -> Box<str> {
        let whole = uri.path_and_query().map_or("/", |target| target.as_str());
        if whole.len() <= LONGEST_TARGET {
            whole.into()
        } else {
            uri.path().into()
        }
    }
}

/// A value with bytes of its own.
pub(super) fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::session::CookieNames;

    fn of(length: usize) -> AuthSubject {
        let names = CookieNames::session("sessionid");
        let cookies = HeaderValue::from_static("sessionid=abc");
        let cookies = SessionCookies::pick(&cookies, &names).unwrap();
        let value = HeaderValue::try_from("x".repeat(length)).unwrap();
        let names = [header::USER_AGENT, header::ACCEPT_LANGUAGE, header::ORIGIN];
        let headers = names.into_iter().map(|name| (name, value.clone()));
        let host = HeaderValue::from_static("app.test");
        AuthSubject::of(
            cookies,
            &headers.collect(),
            &host,
            Ipv4Addr::LOCALHOST.into(),
        )
    }

    #[test]
    fn a_field_that_no_browser_sends_is_left_out() {
        for (length, kept) in [(1024, true), (1025, false)] {
            let about = of(length);
            for field in [about.user_agent, about.accept_language, about.origin] {
                assert_eq!(field.is_some(), kept, "{length}");
            }
        }
    }

    #[test]
    fn a_target_that_is_too_long_loses_its_query() {
        let uri = |length: usize| format!("/ws/?{}", "q".repeat(length - 5)).parse().unwrap();
        assert_eq!(Question::target_of(&uri(2048)).len(), 2048);
        assert_eq!(&*Question::target_of(&uri(2049)), "/ws/");
    }
}
