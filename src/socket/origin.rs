//! The Origin rule: a browser's handshake must come from a page of this very origin.
//!
//! Used by the handshake, and by `server` before a foreign WebSocket is tunnelled. The surprise:
//! browsers send cookies along from other origins of the same site and apply no CORS to WebSockets, so
//! this comparison is all that stands against cross-site WebSocket hijacking.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::web::problem::{Problem, ToProblem};

/// What a route demands of `Origin`.
#[derive(Clone, Debug, Default)]
pub struct OriginRule {
    /// Origins allowed besides the request's own.
    pub allowed: Box<[String]>,
    /// Whether a handshake without `Origin`, which no browser sends, is refused too.
    pub required: bool,
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
}

impl OriginRule {
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
        let bytes = origin.as_bytes();
        let own = bytes
            .strip_prefix(b"https://")
            .is_some_and(|rest| rest == host.as_bytes());
        if own
            || self
                .allowed
                .iter()
                .any(|allowed| allowed.as_bytes() == bytes)
        {
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(bytes).chars().take(100).collect();
        Err(OriginError::Foreign(shown.escape_debug().to_string()))
    }
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
    fn the_requests_own_origin_is_accepted() {
        assert_eq!(
            check(&OriginRule::default(), &["https://app.test:8443"]),
            Ok(())
        );
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
            "https://APP.test:8443",
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
    fn allowed_origins_are_compared_exactly() {
        let rule = OriginRule {
            allowed: ["capacitor://localhost".into()].into(),
            required: false,
        };
        assert_eq!(check(&rule, &["capacitor://localhost"]), Ok(()));
        assert!(check(&rule, &["capacitor://localhost.evil"]).is_err());
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
