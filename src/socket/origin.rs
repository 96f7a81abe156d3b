//! The Origin rule: a browser's handshake must come from a page of this very origin.
//!
//! Used by the handshake, and by `server` before a foreign WebSocket is tunnelled. Browsers send
//! cookies along from other origins of the same site and apply no CORS to WebSockets, so this
//! comparison is all that stands against cross-site WebSocket hijacking.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::web::hosts::is_same_authority;
use crate::web::problem::{Problem, ToProblem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a route demands of `Origin`.
#[derive(Clone, Debug, Default)]
pub struct OriginRule {
    /// Origins allowed besides the request's own.
    pub allowed: Box<[String]>,
    /// Whether a handshake without `Origin`, which no browser sends, is refused too.
    pub required: bool,
}

/// The origin of a connection's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageOrigin {
    /// The request's own.
    Own,
    /// None, so it is no browser.
    Absent,
    /// Another one, which the connection's route allows.
    Allowed(Box<str>),
}

/// Why an `Origin` is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is another origin.
    #[error("the origin `{0}` may not open this WebSocket")]
    Foreign(String),
    /// There is more than one.
    #[error("the handshake has several Origin fields")]
    Several,
    /// There is none, and the route demands one.
    #[error("the handshake has no Origin field")]
    Missing,
    /// There is none, and it is a page of another origin that asks.
    #[error("a page of another origin asks, and does not say which")]
    Unsaid,
}

impl PageOrigin {
    /// That of a handshake which was not refused.
    pub(super) fn of(headers: &HeaderMap, host: &HeaderValue) -> Self {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Self::Absent;
        };
        let sent = origin.to_str().unwrap_or_default();
        if is_page_of(sent, host.to_str().unwrap_or_default()) {
            Self::Own
        } else {
            Self::Allowed(sent.into())
        }
    }
}

impl OriginRule {
    /// Whether a page that has a connection at another route may listen by this one.
    pub(super) fn admits(&self, page: &PageOrigin) -> bool {
        match page {
            PageOrigin::Own => true,
            PageOrigin::Absent => !self.required,
            PageOrigin::Allowed(origin) => self.allowed.iter().any(|one| is_same(one, origin)),
        }
    }

    /// Checks a handshake for the origin `https://` + `host`.
    pub fn check(&self, headers: &HeaderMap, host: &HeaderValue) -> Result<(), OriginError> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return if self.required {
                Err(OriginError::Missing)
            } else {
                Ok(())
            };
        };
        if origins.next().is_some() {
            return Err(OriginError::Several);
        }
        let sent = origin.to_str().unwrap_or_default();
        let is_own = || is_page_of(sent, host.to_str().unwrap_or_default());
        if is_own() || self.allowed.iter().any(|allowed| is_same(allowed, sent)) {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(origin.as_bytes());
        let shown: String = shown.chars().take(100).collect();
        Err(OriginError::Foreign(shown.escape_debug().to_string()))
    }
}

impl OriginRule {
    /// Checks a request without a WebSocket. A browser sends no `Origin` along with a `GET` of a page's own
    /// origin, nor with one whose answer the page cannot read; it says which of them it is.
    pub fn check_fetch(&self, headers: &HeaderMap, host: &HeaderValue) -> Result<(), OriginError> {
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        match site {
            Some(_) if headers.contains_key(header::ORIGIN) => {}
            Some(b"same-origin" | b"none") => return Ok(()),
            Some(_) => return Err(OriginError::Unsaid),
            None => {}
        }
        self.check(headers, host)
    }
}

/// Whether it is the origin of the pages at `host`.
fn is_page_of(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| {
        scheme.eq_ignore_ascii_case("https") && is_same_authority(authority, host, 443)
    })
}

/// Whether two origins are one. Where a scheme has no port of its own the rest is opaque, such as an
/// extension's id.
fn is_same(allowed: &str, sent: &str) -> bool {
    let (Some(allowed), Some(sent)) = (allowed.split_once("://"), sent.split_once("://")) else {
        return allowed == sent;
    };
    let usual_port = match allowed.0.to_ascii_lowercase().as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    allowed.0.eq_ignore_ascii_case(sent.0)
        && usual_port.map_or(allowed.1 == sent.1, |port| {
            is_same_authority(allowed.1, sent.1, port)
        })
}

impl ToProblem for OriginError {
    fn to_problem(&self) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "origin_refused", self.to_string()).with_hint(
            "open the page through the gateway, or name its origin in `allowed_origins` of the \
             [[sockets]] route",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &OriginRule, origins: &[&'static str]) -> Result<(), OriginError> {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        rule.check(&headers, &HeaderValue::from_static("app.test:8443"))
    }

    #[test]
    fn a_page_listens_by_another_route_only_where_that_allows_its_origin() {
        let host = HeaderValue::from_static("app.test:8443");
        let page = |origin: &'static str| {
            let fields = [(header::ORIGIN, HeaderValue::from_static(origin))];
            PageOrigin::of(&fields.into_iter().collect(), &host)
        };
        let strict = OriginRule {
            required: true,
            ..OriginRule::default()
        };
        let lax = OriginRule {
            allowed: ["https://partner.test".to_owned()].into(),
            required: false,
        };
        let absent = PageOrigin::of(&HeaderMap::new(), &host);
        for (page, by_strict, by_lax) in [
            (page("https://app.test:8443"), true, true),
            (page("https://partner.test:443"), false, true),
            (page("https://evil.test"), false, false),
            (absent, false, true),
        ] {
            let admitted = (strict.admits(&page), lax.admits(&page));
            assert_eq!(admitted, (by_strict, by_lax), "{page:?}");
        }
    }

    #[test]
    fn the_requests_own_origin_is_accepted() {
        assert_eq!(
            check(&OriginRule::default(), &["https://app.test:8443"]),
            Ok(())
        );
    }

    #[test]
    fn of_a_fetch_without_origin_the_browser_says_whose_page_asks() {
        let strict = OriginRule {
            required: true,
            ..OriginRule::default()
        };
        let check = |rule: &OriginRule, fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            });
            rule.check_fetch(
                &fields.collect(),
                &HeaderValue::from_static("app.test:8443"),
            )
        };
        let own = [("sec-fetch-site", "same-origin")];
        assert_eq!(check(&strict, &own), Ok(()));
        for site in ["cross-site", "same-site", "x"] {
            let sent = [("sec-fetch-site", site)];
            let refused = Err(OriginError::Unsaid);
            assert_eq!(check(&OriginRule::default(), &sent), refused, "{site}");
        }
        let foreign = [
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert!(check(&OriginRule::default(), &foreign).is_err());
        assert_eq!(check(&strict, &[]), Err(OriginError::Missing));
        assert_eq!(check(&OriginRule::default(), &[]), Ok(()));
    }

    #[test]
    fn every_other_origin_is_refused() {
        let foreign = [
            "https://app.test",
            "http://app.test:8443",
            "https://app.test:8444",
            "null",
            "",
            "https://app.test:8443.evil.example",
            "https://evil.example/app.test:8443",
            "https://app.test..:8443",
            "https://app.test:8443/",
            "https://u@app.test:8443",
            "wss://app.test:8443",
            "https://sub.app.test:8443",
            "app.test:8443",
            "https://",
        ];
        for origin in foreign {
            let refused = check(&OriginRule::default(), &[origin]);
            assert!(matches!(refused, Err(OriginError::Foreign(_))), "{origin}");
        }
    }

    #[test]
    fn two_origins_are_refused_even_if_both_are_right() {
        let own = "https://app.test:8443";
        assert_eq!(
            check(&OriginRule::default(), &[own, own]),
            Err(OriginError::Several)
        );
    }

    #[test]
    fn every_spelling_of_the_own_origin_is_the_own() {
        let is_own = |origin: &'static str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let host = HeaderValue::from_static(host);
            OriginRule::default().check(&headers, &host).is_ok()
        };
        for (origin, host) in [
            ("https://localhost", "localhost:443"),
            ("https://localhost:443", "localhost"),
            ("https://APP.test:8443", "app.test:8443"),
            ("https://app.test:8443", "App.Test.:8443"),
            ("HTTPS://app.test.", "app.test"),
            ("https://[::1]:8443", "[0:0:0:0:0:0:0:1]:8443"),
        ] {
            assert!(is_own(origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("https://localhost", "localhost:8443"),
            ("https://localhost:80", "localhost"),
            ("http://localhost", "localhost"),
            ("http://localhost:443", "localhost:443"),
        ] {
            assert!(!is_own(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn allowed_origins_are_compared_as_origins() {
        let check = |allowed: &str, sent| {
            let rule = OriginRule {
                allowed: [allowed.into()].into(),
                required: false,
            };
            check(&rule, &[sent]).is_ok()
        };
        for (allowed, sent) in [
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abc", "chrome-extension://abc"),
            ("null", "null"),
            ("file://", "file://"),
            ("https://A.test:443", "https://a.test"),
            ("https://a.test", "https://A.test:443"),
        ] {
            assert!(check(allowed, sent), "{allowed} {sent}");
        }
        for (allowed, sent) in [
            ("capacitor://localhost", "capacitor://localhost.evil"),
            ("capacitor://localhost", "ionic://localhost"),
            ("chrome-extension://abc", "chrome-extension://ABC"),
            ("https://a.test", "http://a.test"),
            ("https://a.test", "null"),
            ("file://", "null"),
        ] {
            assert!(!check(allowed, sent), "{allowed} {sent}");
        }
    }

    #[test]
    fn a_missing_origin_is_refused_only_where_one_is_required() {
        assert_eq!(check(&OriginRule::default(), &[]), Ok(()));
        let strict = OriginRule {
            required: true,
            ..OriginRule::default()
        };
        assert_eq!(check(&strict, &[]), Err(OriginError::Missing));
    }
}
