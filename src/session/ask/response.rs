//! A response to an auth call, as it is read for what it means and for what is wrong with it.

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::web::hosts::split_authority;
use crate::web::media_type;

/// A response to an auth call, and what was asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Response<'a> {
    /// Its status.
    pub(in crate::session) status: StatusCode,
    /// Its fields.
    pub(in crate::session) headers: &'a HeaderMap,
    /// Its body, or the beginning of it.
    pub(in crate::session) body: &'a [u8],
    /// The host that was asked for, with its port.
    pub(in crate::session) host: &'a HeaderValue,
    /// The path that was asked for.
    pub(in crate::session) path: &'a str,
    /// Which view was asked.
    pub(in crate::session) of: AskedView,
}

/// Which view was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum AskedView {
    /// The auth view, who a session is.
    Auth,
    /// That of a socket's path, who may listen.
    Path,
}

/// Whether a response says that its body is a page.
pub(in crate::session) fn is_html(headers: &HeaderMap) -> bool {
    media_type::is(headers, "text/html")
}

/// The host's name as `ALLOWED_HOSTS` has it.
pub(super) fn name_of(host: &HeaderValue) -> String {
    let host = host.to_str().unwrap_or_default();
    split_authority(host)
        .map_or(host, |(name, _)| name)
        .to_ascii_lowercase()
}

/// Text from Django, short and on one line.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
