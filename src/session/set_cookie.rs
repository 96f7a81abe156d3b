//! What a response of Django does to the browser's cookies, as far as can be known without seeing the
//! browser's jar.
//!
//! Used by `django` for every response, and by `socket` for what an auth answer sets. The surprise: a
//! cookie is a name, a domain and a path, and a request shows the name alone. A line is certainly
//! about the session only where Django itself said that its session cookie is of just this domain and
//! path; one that may be about another cookie of the name is only a reason to ask.

use std::time::Duration;

use cookie::{Cookie, Expiration};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::change::{About, Change, CookieChange, Scope};
use super::cookie::SessionCookies;
use super::jar::{self, Placement};
use super::naming::CookieNames;
use crate::unix_time;

impl CookieNames {
    /// What these fields do to the session cookie.
    pub fn session_change(&self, fields: &HeaderMap, scope: Scope<'_>) -> Option<CookieChange> {
        self.change_of(&self.session, fields, scope)
    }

    /// The cookies that matter, as the browser may have them after a response with these fields.
    pub fn after(&self, fields: &HeaderMap, scope: Scope<'_>) -> Option<SessionCookies> {
        let changes: Vec<_> = self
            .all()
            .filter_map(|name| Some((name, self.change_of(name, fields, scope)?.kind)))
            .collect();
        SessionCookies::pick(&jar::after(scope.cookies, &changes)?, self).ok()
    }

    /// Whether these fields may give one of the cookies that matter another value.
    pub(super) fn may_replace(&self, fields: &HeaderMap, scope: Scope<'_>) -> bool {
        self.all().any(|name| {
            let change = self.change_of(name, fields, scope);
            match change.map(|change| change.kind) {
                Some(Change::Set { value, .. }) => !scope.has(name, &value),
                _ => false,
            }
        })
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(String::as_str);
        std::iter::once(self.session.as_str()).chain(others)
    }

    /// What these fields do to a cookie. The last line about the very cookie counts; where only that is
    /// taken away, what another place got may be what the browser has now.
    fn change_of(&self, name: &str, fields: &HeaderMap, scope: Scope<'_>) -> Option<CookieChange> {
        let (mut this, mut perhaps) = (None, None);
        for line in fields.get_all(SET_COOKIE) {
            match self.read(name, line, scope) {
                Some((change, About::This)) => this = Some(change),
                Some((change @ Change::Set { .. }, About::Perhaps)) => perhaps = Some(change),
                Some((Change::Deleted, About::Perhaps)) => {
                    perhaps = perhaps.or(Some(Change::Deleted));
                }
                None => {}
            }
        }
        let is_set = |change: &Option<Change>| matches!(change, Some(Change::Set { .. }));
        let (change, about) = match (this, perhaps) {
            (Some(Change::Deleted), perhaps) if is_set(&perhaps) => (perhaps, About::Perhaps),
            (Some(change), _) => (Some(change), About::This),
            (None, perhaps) => (perhaps, About::Perhaps),
        };
        // Where the browser sends two, it cannot be seen which one is where.
        let several = scope
            .cookies
            .is_some_and(|all| SessionCookies::count(all, name) > 1);
        Some(CookieChange {
            kind: change?,
            about: if several { About::Perhaps } else { about },
        })
    }

    /// What a line does to a cookie of this name, where it may be one that sockets are opened with.
    fn read(&self, name: &str, line: &HeaderValue, scope: Scope<'_>) -> Option<(Change, About)> {
        let end = line
            .as_bytes()
            .iter()
            .position(|byte| matches!(byte, b'=' | b';'));
        if line.as_bytes()[..end?].trim_ascii() != name.as_bytes() {
            return None;
        }
        let line = String::from_utf8_lossy(line.as_bytes());
        let cookie = Cookie::parse(line.as_ref()).ok()?;
        let place = match jar::reach(&cookie, scope, &self.sockets) {
            Placement::Nothing => return None,
            Placement::Place(place) => Some(place),
            Placement::Unknown => None,
        };
        let is_it = place.is_some() && place == self.place && name == self.session;
        let about = if is_it { About::This } else { About::Perhaps };
        let left = time_left(&cookie);
        let value = cookie.value();
        // Django writes `""` where it deletes.
        let change = if matches!(value, "" | "\"\"") || left == Some(Duration::ZERO) {
            Change::Deleted
        } else {
            Change::Set {
                value: value.into(),
                max_age: left,
            }
        };
        Some((change, about))
    }
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
    Some(Duration::from_secs(
        end.saturating_sub(unix_time::seconds()),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::naming::CookiePlace;

    static HOST: HeaderValue = HeaderValue::from_static("app.example.com:8443");

    fn here() -> Scope<'static> {
        Scope {
            host: &HOST,
            path: "/accounts/logout/",
            cookies: None,
        }
    }

    fn names(domain: Option<&str>, path: &str) -> CookieNames {
        CookieNames {
            sockets: vec!["/ws/notifications/".into()],
            place: Some(CookiePlace::of(domain, path)),
            ..CookieNames::session("sessionid")
        }
    }

    fn fields(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (SET_COOKIE, HeaderValue::from_str(line).unwrap());
        lines.iter().map(line).collect()
    }

    /// Where Django says that its session cookie is of this host and path `/`.
    fn after(lines: &[&str]) -> Option<CookieChange> {
        names(None, "/").session_change(&fields(lines), here())
    }

    fn set(value: &str, max_age: Option<u64>) -> Change {
        Change::Set {
            value: value.into(),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    fn this(change: Change) -> CookieChange {
        let about = About::This;
        CookieChange {
            kind: change,
            about,
        }
    }

    fn perhaps(change: Change) -> CookieChange {
        let about = About::Perhaps;
        CookieChange {
            kind: change,
            about,
        }
    }

    #[test]
    fn a_login_sets_it_as_django_writes_it() {
        let line = "sessionid=abc; expires=Mon, 07 Dec 2099 09:44:13 GMT; HttpOnly; \
                    Max-Age=1209600; Path=/; SameSite=Lax; Secure";
        assert_eq!(
            after(&["csrftoken=x; Path=/", line]),
            Some(this(set("abc", Some(1_209_600))))
        );
        assert_eq!(
            after(&["sessionid=abc; Path=/"]),
            Some(this(set("abc", None)))
        );
    }

    #[test]
    fn every_way_to_delete_it_is_known() {
        for line in [
            "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/",
            "sessionid=abc; Max-Age=0; Path=/",
            "sessionid=abc; Max-Age=-1; Path=/",
            "sessionid=abc; expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
            "sessionid=; Path=/",
        ] {
            assert_eq!(after(&[line]), Some(this(Change::Deleted)), "{line}");
        }
    }

    #[test]
    fn other_cookies_and_other_places_are_no_change() {
        for line in [
            "xsessionid=1; Path=/",
            "sessionid2=1; Path=/",
            "sessionid",
            "Sessionid=1; Path=/",
            "messages=sessionid=1; Path=/",
            "sessionid=\"\"; Max-Age=0; Path=/admin/",
            "sessionid=\"\"; Max-Age=0; Path=/w",
            "sessionid=\"\"; Max-Age=0; Path=/accounts/",
            // Without a path it is of the request's folder.
            "sessionid=\"\"; Max-Age=0",
            "sessionid=1; Domain=example.org; Path=/",
            "sessionid=1; Domain=p.example.com; Path=/",
            "sessionid=1; Domain=x.app.example.com; Path=/",
        ] {
            assert_eq!(after(&[line]), None, "{line}");
        }
    }

    #[test]
    fn what_may_be_a_namesake_is_only_perhaps_this_cookie() {
        for line in [
            "sessionid=1; Domain=.example.com; Path=/",
            "sessionid=1; Domain=example.com; Path=/",
            "sessionid=1; Domain=APP.example.com; Path=/",
            "sessionid=1; Domain=com; Path=/",
            "sessionid=1; Path=/ws",
            "sessionid=1; Path=/ws/",
            "sessionid=1; Path=/ws/notifications/",
            "sessionid=1; Path=/; Secure; Partitioned",
        ] {
            assert_eq!(after(&[line]), Some(perhaps(set("1", None))), "{line}");
        }
        let deleted = "sessionid=\"\"; Max-Age=0; Path=/; Domain=.example.com";
        assert_eq!(after(&[deleted]), Some(perhaps(Change::Deleted)));
    }

    #[test]
    fn as_long_as_django_has_not_said_where_its_cookie_is_every_line_is_perhaps_about_another() {
        let names = CookieNames {
            place: None,
            ..names(None, "/")
        };
        let change = |line| names.session_change(&fields(&[line]), here());
        assert_eq!(change("sessionid=1; Path=/"), Some(perhaps(set("1", None))));
        assert_eq!(change("sessionid=1; Path=/admin/"), None);
    }

    #[test]
    fn the_very_line_of_djangos_settings_is_certain_wherever_they_put_the_cookie() {
        let change = |names: CookieNames, line| names.session_change(&fields(&[line]), here());
        let of_domain = || names(Some(".Example.com"), "/");
        for line in [
            "sessionid=1; Domain=.example.com; Path=/",
            "sessionid=1; Path=/; Domain=EXAMPLE.COM",
        ] {
            assert_eq!(
                change(of_domain(), line),
                Some(this(set("1", None))),
                "{line}"
            );
        }
        // The host's own is the namesake here.
        let own = "sessionid=\"\"; Max-Age=0; Path=/";
        assert_eq!(change(of_domain(), own), Some(perhaps(Change::Deleted)));
        let below = "sessionid=1; Path=/ws/";
        assert_eq!(
            change(names(None, "/ws/"), below),
            Some(this(set("1", None)))
        );
        assert_eq!(
            change(names(None, "/ws"), below),
            Some(perhaps(set("1", None)))
        );
    }

    #[test]
    fn of_two_cookies_that_the_browser_has_nobody_knows_which_one_is_meant() {
        let cookies = HeaderValue::from_static("sessionid=a; sessionid=b");
        let scope = Scope {
            cookies: Some(&cookies),
            ..here()
        };
        let change = names(None, "/").session_change(&fields(&["sessionid=; Path=/"]), scope);
        assert_eq!(change, Some(perhaps(Change::Deleted)));
    }

    #[test]
    fn prefixes_that_a_browser_refuses_are_no_change() {
        let change = |name: &str, rest| {
            let names = CookieNames {
                session: name.into(),
                ..names(None, "/")
            };
            names.session_change(&fields(&[&format!("{name}=1; {rest}")]), here())
        };
        assert!(change("__Host-sid", "Path=/; Secure").is_some());
        for rest in [
            "Path=/",
            "Path=/ws/; Secure",
            "Path=/; Secure; Domain=example.com",
        ] {
            assert_eq!(change("__Host-sid", rest), None, "{rest}");
        }
        assert!(change("__Secure-sid", "Path=/; Secure; Domain=example.com").is_some());
        assert_eq!(change("__Secure-sid", "Path=/"), None);
    }

    #[test]
    fn a_domain_is_no_address() {
        let host = HeaderValue::from_static("127.0.0.1:8443");
        let scope = Scope {
            host: &host,
            ..here()
        };
        let change = |line| names(None, "/").session_change(&fields(&[line]), scope);
        assert_eq!(change("sessionid=1; Domain=0.0.1; Path=/"), None);
        let same = change("sessionid=1; Domain=127.0.0.1; Path=/");
        assert_eq!(same, Some(perhaps(set("1", None))));
    }

    #[test]
    fn a_cookie_that_moves_is_set_and_the_last_value_counts() {
        let (gone, new) = (
            "sessionid=; Max-Age=0; Domain=example.com; Path=/",
            "sessionid=2; Path=/",
        );
        assert_eq!(after(&[gone, new]), Some(this(set("2", None))));
        assert_eq!(after(&[new, gone]), Some(this(set("2", None))));
        assert_eq!(
            after(&["sessionid=1; Path=/", new]),
            Some(this(set("2", None)))
        );
        let (own, other) = ("sessionid=; Path=/", "sessionid=3; Path=/ws/");
        assert_eq!(after(&[new, own]), Some(this(Change::Deleted)));
        assert_eq!(after(&[own, other]), Some(perhaps(set("3", None))));
    }

    #[test]
    fn what_counts_afterwards_are_the_session_and_the_configured_cookies() {
        let names = CookieNames {
            others: vec!["tenant".into()],
            ..names(None, "/")
        };
        let before = HeaderValue::from_static("csrftoken=c; tenant=blue; sessionid=old");
        let scope = Scope {
            cookies: Some(&before),
            ..here()
        };
        let lines = [
            "csrftoken=d; Path=/",
            "sessionid=new; Path=/",
            "tenant=\"\"; Max-Age=0; Path=/",
        ];
        let after = names.after(&fields(&lines), scope).unwrap();
        assert_eq!(after.header(), "sessionid=new");
        let unchanged = names.after(&HeaderMap::new(), scope).unwrap();
        assert_eq!(unchanged.header(), "tenant=blue; sessionid=old");
        let deleted = fields(&["sessionid=; Max-Age=0; Path=/"]);
        assert!(names.after(&deleted, scope).is_none());
    }

    #[test]
    fn another_value_of_one_of_them_may_replace_it() {
        let names = CookieNames {
            others: vec!["tenant".into()],
            ..names(None, "/")
        };
        let cookies = HeaderValue::from_static("sessionid=abc=; tenant=blue");
        let scope = Scope {
            cookies: Some(&cookies),
            ..here()
        };
        let replaced = |line| names.may_replace(&fields(&[line]), scope);
        assert!(replaced("sessionid=abd; Path=/"));
        assert!(replaced("sessionid=abd; Path=/; Domain=example.com"));
        assert!(replaced("tenant=red; Path=/"));
        for line in [
            "sessionid=\"\"; Max-Age=0; Path=/",
            "sessionid=\"abc=\"; Max-Age=1209600; Path=/",
            "sessionid=abd; Path=/admin/",
            "session=x; Path=/",
            "csrftoken=x; Path=/",
        ] {
            assert!(!replaced(line), "{line}");
        }
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
                let scope = Scope { cookies: Some(&value), ..here() };
                let _ = names(None, "/").after(&fields, scope);
            }
        }
    }
}
