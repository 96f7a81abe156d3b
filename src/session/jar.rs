//! The browser's jar: which cookies a line can be about, and what is sent after it.
//!
//! Used by `set_cookie`. The surprise: a browser takes a line for any path, whatever was asked for, and
//! the sockets' path is the one that counts: what is not sent to it is the cookie of no socket.

use std::net::IpAddr;

use cookie::Cookie;
use http::HeaderValue;

use super::change::{Change, Scope};
use super::naming::CookiePlace;

/// Where a browser puts what a line says.
pub(super) enum Placement {
    /// Nowhere, or where no socket gets it.
    Nothing,
    /// Under this domain and path.
    Place(CookiePlace),
    /// Sockets may get it, but domain and path alone do not tell it from others.
    Unknown,
}

/// Where a browser puts a cookie that a response to this request sets or deletes.
pub(super) fn reach(cookie: &Cookie<'_>, scope: Scope<'_>, sockets: &[String]) -> Placement {
    let domain = cookie.domain().filter(|domain| !domain.is_empty());
    let path = cookie.path().filter(|path| path.starts_with('/'));
    let path = path.unwrap_or_else(|| folder(scope.path));
    let host = scope.host.to_str().unwrap_or_default();
    let is_sent = sockets.iter().any(|socket| covers_path(path, socket));
    if !is_sent || domain.is_some_and(|domain| !covers_host(domain, host)) {
        return Placement::Nothing;
    }
    let secure = cookie.secure() == Some(true);
    let refused = match cookie.name() {
        name if name.starts_with("__Host-") => !secure || domain.is_some() || path != "/",
        name if name.starts_with("__Secure-") => !secure,
        _ => false,
    };
    match (refused, cookie.partitioned()) {
        (true, _) => Placement::Nothing,
        (false, Some(true)) => Placement::Unknown,
        (false, _) => Placement::Place(CookiePlace::of(domain, path)),
    }
}

/// The `Cookie` field that the browser sends after these changes. Like a browser, it keeps the place of
/// a cookie that is set again.
pub(super) fn after(
    before: Option<&HeaderValue>,
    changes: &[(&str, Change)],
) -> Option<HeaderValue> {
    let before = before.map_or(&b""[..], HeaderValue::as_bytes);
    let mut pairs: Vec<Vec<u8>> = before
        .split(|byte| *byte == b';')
        .map(|pair| pair.trim_ascii().to_vec())
        .collect();
    for (name, change) in changes {
        let is_it = |pair: &Vec<u8>| name_of(pair) == name.as_bytes();
        let last = pairs.iter().rposition(is_it);
        let mut pair = match change {
            Change::Set { value, .. } => Some(format!("{name}={value}").into_bytes()),
            Change::Deleted => None,
        };
        if let (Some(last), Some(pair)) = (last, pair.as_mut()) {
            std::mem::swap(&mut pairs[last], pair);
        }
        let kept = last.filter(|_| pair.is_some());
        let mut index = 0;
        pairs.retain(|pair| {
            index += 1;
            Some(index - 1) == kept || !is_it(pair)
        });
        if last.is_none() {
            pairs.extend(pair);
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    let mut header = HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn name_of(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=');
    pair[..end.unwrap_or(pair.len())].trim_ascii()
}

/// What the path of a cookie is that has none (RFC 6265 5.1.4).
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(end) if end > 0 => &path[..end],
        _ => "/",
    }
}

/// RFC 6265 5.1.3.
fn covers_host(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).as_bytes();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    let host = host.as_bytes();
    let Some(start) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let below = start > 0 && !is_address && host[start - 1] == b'.';
    host[start..].eq_ignore_ascii_case(domain) && (start == 0 || below)
}

/// RFC 6265 5.1.4.
///
/// A segment of the route in braces stands for any one, so a cookie below such a route may be sent to some of its
/// sockets.
fn covers_path(path: &str, requested: &str) -> bool {
    if !requested.contains('{') {
        return requested
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'));
    }
    let mut segments = requested.split('/');
    let covering = path.strip_suffix('/').unwrap_or(path);
    let fits = |one: &str, other: &str| one == other || other.starts_with('{');
    let mut covering = covering.split('/');
    covering.all(|one| segments.next().is_some_and(|other| fits(one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> Change {
        Change::Set {
            value: value.into(),
            max_age: None,
        }
    }

    #[test]
    fn a_cookie_may_be_one_of_some_sockets_of_a_route_with_braces() {
        let route = "/ws/orders/{pk}/";
        for (path, covers) in [
            ("/", true),
            ("/ws", true),
            ("/ws/orders/", true),
            ("/ws/orders/17", true),
            ("/ws/orders/17/", true),
            ("/ws/orders/17/more/", false),
            ("/w", false),
            ("/shop/", false),
        ] {
            assert_eq!(covers_path(path, route), covers, "{path}");
        }
    }

    #[test]
    fn the_cookies_afterwards_are_the_browsers() {
        let before = HeaderValue::from_static("a=1; sessionid=x;b=2; sessionid=y");
        let cookies = |changes: &[(&str, Change)]| {
            let header = after(Some(&before), changes).unwrap();
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(cookies(&[("sessionid", set("z"))]), "a=1; b=2; sessionid=z");
        assert_eq!(cookies(&[("sessionid", Change::Deleted)]), "a=1; b=2");
        let both = [("a", Change::Deleted), ("tenant", set("t"))];
        assert_eq!(cookies(&both), "sessionid=x; b=2; sessionid=y; tenant=t");
        assert_eq!(
            after(None, &[("sessionid", set("z"))]).unwrap(),
            "sessionid=z"
        );
    }

    #[test]
    fn a_cookie_without_a_path_is_of_the_folder() {
        for (path, expected) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a/", "/a"),
            ("/a/b", "/a"),
            ("", "/"),
        ] {
            assert_eq!(folder(path), expected, "{path}");
        }
    }
}
