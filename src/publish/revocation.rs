//! `POST /v1/revoke`: from JSON text to an audience and a [`CloseReason`].
//!
//! Used by `api`. The surprise: only codes that RFC 6455 leaves to applications, and the two standard
//! ones that make sense of a revocation, are let through: no caller can make the gateway say 1006.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::json::{self, DecodeError};
use super::text;
use crate::close::{CloseReason, LONGEST_REASON};
use crate::ids::{ConnectionId, GroupName, SessionDigest, UserId};
use crate::publication::Audience;

/// Means "go and log in".
const DEFAULT_CODE: u16 = 4001;
const DEFAULT_REASON: &str = "session ended";

/// Whose connections are closed, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RevocationRequest {
    pub(super) audience: Audience,
    pub(super) reason: CloseReason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationText {
    #[serde(default, deserialize_with = "text::user")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text::group")]
    group: Option<GroupName>,
    #[serde(default, deserialize_with = "text::session")]
    session: Option<SessionDigest>,
    #[serde(default, deserialize_with = "text::connection")]
    connection: Option<ConnectionId>,
    #[serde(default, deserialize_with = "text::only_true")]
    everyone: Option<()>,
    code: Option<CloseCode>,
    reason: Option<Reason>,
}

struct CloseCode(u16);
struct Reason(Box<str>);

/// Decodes one revocation.
pub(super) fn decode(text: &[u8]) -> Result<RevocationRequest, DecodeError> {
    json::decode::<RevocationRequest>(text).map(|(revocation, _)| revocation)
}

impl<'de> Deserialize<'de> for RevocationRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = RevocationText::deserialize(deserializer)?;
        let named = [
            text.user.map(Audience::User),
            text.group.map(Audience::Group),
            text.session.map(Audience::Session),
            text.connection.map(Audience::Connection),
            text.everyone.map(|()| Audience::Everyone),
        ];
        let mut named = named.into_iter().flatten();
        let (Some(audience), None) = (named.next(), named.next()) else {
            return Err(D::Error::custom(
                "expected exactly one of user, group, session, connection, everyone",
            ));
        };
        let reason = CloseReason::Revoked {
            code: text.code.map_or(DEFAULT_CODE, |code| code.0),
            text: text.reason.map_or(DEFAULT_REASON.into(), |reason| reason.0),
        };
        Ok(Self { audience, reason })
    }
}

impl<'de> Deserialize<'de> for CloseCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u64::deserialize(deserializer)?;
        match u16::try_from(code) {
            Ok(code @ (1000 | 1008 | 1013 | 3000..=4999)) => Ok(Self(code)),
            _ => Err(D::Error::invalid_value(
                Unexpected::Unsigned(code),
                &"a close code: 1000, 1008, 1013, or 3000 to 4999",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReasonVisitor;

        impl Visitor<'_> for ReasonVisitor {
            type Value = Reason;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a reason of at most {LONGEST_REASON} bytes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Reason, E> {
                if text.len() > LONGEST_REASON {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(Reason(text.into()))
            }
        }

        deserializer.deserialize_str(ReasonVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        decode(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_session_is_revoked_with_4001() {
        let digest = "ab".repeat(32);
        let revocation = decode(format!(r#"{{"session":"{digest}"}}"#).as_bytes()).unwrap();
        assert_eq!(
            revocation.audience,
            Audience::Session(digest.parse().unwrap())
        );
        assert_eq!(revocation.reason.code(), 4001);
        assert_eq!(revocation.reason.text(), "session ended");
    }

    #[test]
    fn code_and_reason_are_the_callers() {
        let text = r#"{"user":42,"code":4100,"reason":"kicked"}"#;
        let revocation = decode(text.as_bytes()).unwrap();
        assert_eq!(revocation.audience, Audience::User(UserId::new("42")));
        assert_eq!(revocation.reason.code(), 4100);
        assert_eq!(revocation.reason.text(), "kicked");
    }

    #[test]
    fn only_applications_codes_are_let_through() {
        for code in ["1000", "1008", "1013", "3000", "4999"] {
            let text = format!(r#"{{"everyone":true,"code":{code}}}"#);
            assert!(decode(text.as_bytes()).is_ok(), "{code}");
        }
        for code in [
            "0", "999", "1001", "1006", "2999", "5000", "69536", "-1", "4001.0", "\"4001\"",
        ] {
            let text = format!(r#"{{"everyone":true,"code":{code}}}"#);
            assert!(decode(text.as_bytes()).is_err(), "{code}");
        }
        let message = refused(r#"{"user":"1","code":1006}"#);
        assert!(
            message.contains("1006") && message.contains("3000 to 4999"),
            "{message}"
        );
    }

    #[test]
    fn a_reason_must_fit_a_close_frame() {
        let text = |length| format!(r#"{{"user":"1","reason":"{}"}}"#, "x".repeat(length));
        assert!(decode(text(123).as_bytes()).is_ok());
        assert!(refused(&text(124)).contains("at most 123 bytes"));
    }

    #[test]
    fn exactly_one_audience_is_named() {
        let none = refused(r#"{"code":4001}"#);
        let two = refused(r#"{"user":"1","group":"staff"}"#);
        assert!(none.contains("exactly one") && two.contains("exactly one"));
        assert!(refused(r#"{"everyone":false}"#).contains("true"));
        assert!(refused(r#"{"user":"1","user":"2"}"#).contains("duplicate"));
        assert!(refused(r#"{"users":["1"]}"#).contains("unknown field"));
        assert!(refused(r#"["1"]"#).contains("an object"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[\[\]{}":,0-9a-z\\ ]{0,60}"#) {
            let _ = decode(text.as_bytes());
        }
    }
}
