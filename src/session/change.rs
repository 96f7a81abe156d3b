//! What a response does to a cookie, in words of our own.
//!
//! Read by `set_cookie`, carried out on the browser's cookies by `jar`.

use std::time::Duration;

use http::HeaderValue;

use super::cookie::parts;
use super::unquote::unquote;

/// What becomes of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The browser has another value, or the same once more.
    Set {
        /// The value.
        value: Box<str>,
        /// For how long, where it is said.
        max_age: Option<Duration>,
    },
    /// The browser has it no more.
    Deleted,
}

/// A change, and whether it is one of this very cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieChange {
    /// What becomes of it.
    pub kind: Change,
    /// Of which cookie.
    pub about: About,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The cookie in question.
    This,
    /// That, or another one of its name.
    Perhaps,
}

/// The request that a response answers, which decides whether a browser takes a line.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The host as the browser wrote it, with or without its port.
    pub host: &'a HeaderValue,
    /// The path as sent.
    pub path: &'a str,
    /// Its `Cookie` field.
    pub cookies: Option<&'a HeaderValue>,
}

impl Scope<'_> {
    /// Whether the request showed a cookie of this value.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        let sent = self.cookies.map_or(&b""[..], HeaderValue::as_bytes);
        let mut pairs = sent.rsplit(|byte| *byte == b';').filter_map(parts);
        let found = pairs.find(|(own, _)| *own == name.as_bytes());
        found.is_some_and(|(_, own)| unquote(own) == unquote(value.as_bytes()))
    }
}
