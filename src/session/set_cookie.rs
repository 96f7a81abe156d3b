//! What a response of Django does to the browser's cookies.
//!
//! Used by `django` for every response, and by `socket` for what an auth answer sets. The surprise: a line may be about another cookie of the same name. A browser ignores
//! a foreign `Domain`, and a `Path` that does not cover this request is not the path of the cookie that
//! this request carried.

use std::sync::Arc;
use std::time::Duration;

use cookie::{Cookie, Expiration};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::answer::Answer;
use super::cookie::{CookieNames, SessionCookies};
use super::lifecycle::Lifecycle;
use super::question::Recheck;
use crate::web::signature::unix_seconds;

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

impl CookieNames {
    /// What these fields do to the session cookie.
    pub fn change(&self, fields: &HeaderMap, scope: Scope<'_>) -> Option<Change> {
        change(fields, &self.session, scope)
    }

    /// The cookies that matter, as the browser has them after a response with these fields.
    pub fn after(&self, fields: &HeaderMap, scope: Scope<'_>) -> Option<SessionCookies> {
        let names = std::iter::once(&self.session).chain(&self.others);
        let changes: Vec<_> = names
            .filter_map(|name| Some((name.as_str(), change(fields, name, scope)?)))
            .collect();
        SessionCookies::pick(&cookies_after(scope.cookies, &changes)?, self)
    }
}

impl Lifecycle {
    /// Follows the session of `old` where a response changes its cookie. `new` is what Django can be
    /// asked of from now on, and `told` what it said of that on the way.
    pub fn follow(
        self: &Arc<Self>,
        old: &SessionCookies,
        change: &Change,
        (new, told): (Option<Recheck>, Option<&Answer>),
    ) {
        let Change::Set { max_age, .. } = change else {
            self.ended(old, "logged out");
            return;
        };
        match new {
            Some(new) if new.cookies.is_same_session(old) => self.renewed(old, *max_age),
            Some(new) => self.replaced(old, new, told.cloned()),
            // A value that no browser's handshake could bring either.
            None => drop(self.ended(old, "session ended")),
        }
    }
}

/// What these fields do to the cookie `name`. Where they delete it in one place and set it in another,
/// as sites do that move their cookie, it is set.
fn change(fields: &HeaderMap, name: &str, scope: Scope<'_>) -> Option<Change> {
    let mut found = None;
    for line in fields.get_all(SET_COOKIE) {
        if !is_about(line, name) {
            continue;
        }
        match read(line, scope) {
            Some(set @ Change::Set { .. }) => found = Some(set),
            Some(Change::Deleted) => found = found.or(Some(Change::Deleted)),
            None => {}
        }
    }
    found
}

/// The `Cookie` field that the browser sends after these changes. Like a browser, it keeps the place of
/// a cookie that is set anew.
fn cookies_after(before: Option<&HeaderValue>, changes: &[(&str, Change)]) -> Option<HeaderValue> {
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

/// Whether a `Set-Cookie` line is of this cookie: all that is asked of most lines.
fn is_about(line: &HeaderValue, name: &str) -> bool {
    name_of(line.as_bytes()) == name.as_bytes()
}

fn name_of(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| matches!(byte, b'=' | b';'));
    pair[..end.unwrap_or(pair.len())].trim_ascii()
}

fn read(line: &HeaderValue, scope: Scope<'_>) -> Option<Change> {
    let cookie = Cookie::parse(std::str::from_utf8(line.as_bytes()).ok()?).ok()?;
    let host = scope.host.to_str().unwrap_or_default();
    let (domain, path) = (cookie.domain(), cookie.path());
    let reaches = domain.is_none_or(|domain| covers_host(domain, host))
        && path.is_none_or(|path| covers_path(path, scope.path));
    if !reaches {
        return None;
    }
    let left = time_left(&cookie);
    let value = cookie.value();
    // Django writes `""` where it deletes.
    if matches!(value, "" | "\"\"") || left == Some(Duration::ZERO) {
        return Some(Change::Deleted);
    }
    Some(Change::Set {
        value: value.into(),
        max_age: left,
    })
}

/// How long the browser keeps it; `Max-Age` goes before `Expires` (RFC 6265 5.3).
fn time_left(cookie: &Cookie<'_>) -> Option<Duration> {
    if let Some(age) = cookie.max_age() {
        return Some(age.try_into().unwrap_or_default());
    }
    let Some(Expiration::DateTime(end)) = cookie.expires() else {
        return None;
    };
    let end = u64::try_from(end.unix_timestamp()).unwrap_or_default();
    Some(Duration::from_secs(end.saturating_sub(unix_seconds())))
}

/// RFC 6265 5.1.3.
fn covers_host(domain: &str, host: &str) -> bool {
    let domain = domain.trim_start_matches('.').as_bytes();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let host = host.as_bytes();
    let Some(start) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    host[start..].eq_ignore_ascii_case(domain) && (start == 0 || host[start - 1] == b'.')
}

/// RFC 6265 5.1.4; a path without a slash in front counts as none.
fn covers_path(path: &str, requested: &str) -> bool {
    let Some(rest) = requested.strip_prefix(path) else {
        return !path.starts_with('/');
    };
    rest.is_empty() || rest.starts_with('/') || path.ends_with('/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static HOST: HeaderValue = HeaderValue::from_static("app.example.com:8443");

    fn here() -> Scope<'static> {
        Scope {
            host: &HOST,
            path: "/accounts/logout/",
            cookies: None,
        }
    }

    fn after(lines: &[&str]) -> Option<Change> {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(SET_COOKIE, HeaderValue::from_str(line).unwrap());
        }
        change(&fields, "sessionid", here())
    }

    fn set(value: &str, max_age: Option<u64>) -> Change {
        Change::Set {
            value: value.into(),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_login_sets_it_as_django_writes_it() {
        let line = "sessionid=abc; expires=Mon, 07 Dec 2099 09:44:13 GMT; HttpOnly; \
                    Max-Age=1209600; Path=/; SameSite=Lax; Secure";
        assert_eq!(
            after(&["csrftoken=x; Path=/", line]),
            Some(set("abc", Some(1_209_600)))
        );
        assert_eq!(after(&["sessionid=abc; Path=/"]), Some(set("abc", None)));
    }

    #[test]
    fn every_way_to_delete_it_is_known() {
        for line in [
            "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/",
            "sessionid=abc; Max-Age=0",
            "sessionid=abc; Max-Age=-1",
            "sessionid=abc; expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "sessionid=; Path=/",
            "sessionid=",
        ] {
            assert_eq!(after(&[line]), Some(Change::Deleted), "{line}");
        }
    }

    #[test]
    fn other_cookies_and_other_places_are_no_change() {
        for line in [
            "xsessionid=1",
            "sessionid2=1",
            "sessionid",
            "Sessionid=1",
            "messages=sessionid=1",
            "sessionid=\"\"; Max-Age=0; Path=/admin/",
            "sessionid=\"\"; Max-Age=0; Path=/acc",
            "sessionid=1; Domain=example.org",
            "sessionid=1; Domain=p.example.com",
        ] {
            assert_eq!(after(&[line]), None, "{line}");
        }
        for line in [
            "sessionid=1; Domain=.example.com",
            "sessionid=1; Domain=APP.example.com; Path=/accounts",
            "sessionid=1; Path=/accounts/",
            "sessionid=1; Path=/accounts/logout/",
            "sessionid=1; Path=x",
        ] {
            assert_eq!(after(&[line]), Some(set("1", None)), "{line}");
        }
    }

    #[test]
    fn a_cookie_that_moves_is_set_and_the_last_value_counts() {
        let (gone, new) = ("sessionid=; Max-Age=0; Domain=example.com", "sessionid=2");
        assert_eq!(after(&[gone, new]), Some(set("2", None)));
        assert_eq!(after(&[new, gone]), Some(set("2", None)));
        assert_eq!(after(&["sessionid=1", new]), Some(set("2", None)));
    }

    #[test]
    fn the_cookies_afterwards_are_the_browsers() {
        let before = HeaderValue::from_static("a=1; sessionid=x;b=2; sessionid=y");
        let cookies = |changes: &[(&str, Change)]| {
            let header = cookies_after(Some(&before), changes).unwrap();
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(
            cookies(&[("sessionid", set("z", None))]),
            "a=1; b=2; sessionid=z"
        );
        assert_eq!(cookies(&[("sessionid", Change::Deleted)]), "a=1; b=2");
        let both = [("a", Change::Deleted), ("tenant", set("t", None))];
        assert_eq!(cookies(&both), "sessionid=x; b=2; sessionid=y; tenant=t");
        let fresh = [("sessionid", set("z", None))];
        assert_eq!(cookies_after(None, &fresh).unwrap(), "sessionid=z");
    }

    #[test]
    fn what_counts_afterwards_are_the_session_and_the_configured_cookies() {
        let names = CookieNames {
            session: "sessionid".into(),
            others: vec!["tenant".into()],
        };
        let before = HeaderValue::from_static("csrftoken=c; tenant=blue; sessionid=old");
        let scope = Scope {
            cookies: Some(&before),
            ..here()
        };
        let mut fields = HeaderMap::new();
        for line in [
            "csrftoken=d",
            "sessionid=new; Path=/",
            "tenant=\"\"; Max-Age=0",
        ] {
            fields.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        let after = names.after(&fields, scope).unwrap();
        assert_eq!(after.header(), "sessionid=new");
        let unchanged = names.after(&HeaderMap::new(), scope).unwrap();
        assert_eq!(unchanged.header(), "tenant=blue; sessionid=old");
        let deleted = HeaderValue::from_static("sessionid=; Max-Age=0");
        fields.append(SET_COOKIE, deleted.clone());
        assert!(names.after(&fields, scope).is_some());
        let fields = HeaderMap::from_iter([(SET_COOKIE, deleted)]);
        assert!(names.after(&fields, scope).is_none());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(0x20_u8..=0xff, 0..120)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut fields = HeaderMap::new();
                let named = [b"sessionid=", &line[..]].concat();
                fields.append(SET_COOKIE, value.clone());
                if let Ok(named) = HeaderValue::from_bytes(&named) {
                    fields.append(SET_COOKIE, named);
                }
                if let Some(change) = change(&fields, "sessionid", here()) {
                    let _ = cookies_after(Some(&value), &[("sessionid", change)]);
                }
            }
        }
    }
}
