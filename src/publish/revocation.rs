//! `POST /v1/revoke`: from JSON text to an audience and a [`CloseReason`], or to a topic.
//!
//! Used by `intake`. Only codes that RFC 6455 leaves to applications, and the two standard ones that
//! make sense of a revocation, are let through: no caller can make the gateway say 1006.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::json::{self, DecodeError};
use super::text;
use crate::close::{CloseReason, LONGEST_REASON};
use crate::hub::TopicRevocation;
use crate::ids::{ConnectionId, GroupName, SessionDigest, TopicName, UserId};
use crate::publication::Audience;
use crate::unix_time;

/// Means "go and log in".
const DEFAULT_CODE: u16 = 4001;
const DEFAULT_REASON: &str = "session ended";

/// How long tokens live at most, where the call does not say it.
const LONGEST_LIFE: Duration = Duration::from_hours(31 * 24);
/// From 2001 to 5138: seconds and microseconds are told from milliseconds.
const MILLISECONDS: std::ops::Range<u64> = 1_000_000_000_000..100_000_000_000_000;

/// What is revoked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RevocationRequest {
    /// Whose connections are closed, and why.
    Connections {
        audience: Audience,
        reason: CloseReason,
    },
    /// Connections stay, and hear a topic no more.
    Topic(TopicRevocation),
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
    #[serde(default, deserialize_with = "text::topic")]
    topic: Option<TopicName>,
    at: Option<DjangoTime>,
    #[serde(default, deserialize_with = "text::duration")]
    max_age: Option<Duration>,
}

struct CloseCode(u16);
/// Unix milliseconds.
struct DjangoTime(u64);
struct Reason(Box<str>);

/// Decodes one revocation.
pub(super) fn decode(text: &[u8]) -> Result<RevocationRequest, DecodeError> {
    json::decode::<RevocationRequest>(text).map(|(revocation, _)| revocation)
}

impl<'de> Deserialize<'de> for RevocationRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = RevocationText::deserialize(deserializer)?;
        if let Some(topic) = text.topic.take() {
            return text.of_topic(topic).map(Self::Topic);
        }
        if text.at.is_some() || text.max_age.is_some() {
            return Err(D::Error::custom("`at` and `max_age` are of a topic"));
        }
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
                "expected exactly one of user, group, session, connection, topic, everyone; with a topic \
                 perhaps a user",
            ));
        };
        let reason = CloseReason::Revoked {
            code: text.code.map_or(DEFAULT_CODE, |code| code.0),
            text: text.reason.map_or(DEFAULT_REASON.into(), |reason| reason.0),
        };
        Ok(Self::Connections { audience, reason })
    }
}

impl RevocationText {
    /// A topic's, of one user or of all.
    fn of_topic<E: Error>(self, topic: TopicName) -> Result<TopicRevocation, E> {
        let others = self.group.is_some()
            || self.session.is_some()
            || self.connection.is_some()
            || self.everyone.is_some();
        if others || self.code.is_some() || self.reason.is_some() {
            return Err(E::custom(
                "a topic is revoked of one user or of all: besides `topic` there may be `user`, `at` and \
                 `max_age`",
            ));
        }
        Ok(TopicRevocation {
            topic,
            user: self.user,
            at: self.at.unwrap_or_else(DjangoTime::now).0,
            max_age: self.max_age.unwrap_or(LONGEST_LIFE),
        })
    }
}

impl DjangoTime {
    /// The gateway's own time, where the call says none.
    fn now() -> Self {
        Self(unix_time::milliseconds(unix_time::now()))
    }
}

impl<'de> Deserialize<'de> for DjangoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = u64::deserialize(deserializer)?;
        if MILLISECONDS.contains(&at) {
            return Ok(Self(at));
        }
        Err(D::Error::invalid_value(
            Unexpected::Unsigned(at),
            &"a time in unix milliseconds",
        ))
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

    /// Whose connections a text closes, and why.
    fn closes(text: &str) -> (Audience, CloseReason) {
        match decode(text.as_bytes()).unwrap() {
            RevocationRequest::Connections { audience, reason } => (audience, reason),
            RevocationRequest::Topic(topic) => panic!("{topic:?}"),
        }
    }

    #[test]
    fn a_session_is_revoked_with_4001() {
        let digest = "ab".repeat(32);
        let (audience, reason) = closes(&format!(r#"{{"session":"{digest}"}}"#));
        assert_eq!(audience, Audience::Session(digest.parse().unwrap()));
        assert_eq!(reason.code(), 4001);
        assert_eq!(reason.text(), "session ended");
    }

    #[test]
    fn code_and_reason_are_the_callers() {
        let (audience, reason) = closes(r#"{"user":42,"code":4100,"reason":"kicked"}"#);
        assert_eq!(audience, Audience::User(UserId::new("42")));
        assert_eq!(reason.code(), 4100);
        assert_eq!(reason.text(), "kicked");
    }

    #[test]
    fn a_topic_is_revoked_of_one_user_or_of_all_and_says_since_when() {
        let text = r#"{"topic":"shop.order:17","user":42,"at":1794000000123,"max_age":43200}"#;
        let expected = TopicRevocation {
            topic: TopicName::new("shop.order:17").unwrap(),
            user: Some(UserId::new("42")),
            at: 1_794_000_000_123,
            max_age: Duration::from_hours(12),
        };
        assert_eq!(
            decode(text.as_bytes()).unwrap(),
            RevocationRequest::Topic(expected)
        );
        let Ok(RevocationRequest::Topic(of_all)) = decode(br#"{"topic":"news"}"#) else {
            panic!("not a topic's")
        };
        assert_eq!((of_all.user, of_all.max_age), (None, LONGEST_LIFE));
        assert!(MILLISECONDS.contains(&of_all.at));
        for text in [
            r#"{"topic":"two words"}"#,
            r#"{"topic":"news","code":4001}"#,
            r#"{"topic":"news","reason":"x"}"#,
            r#"{"topic":"news","group":"staff"}"#,
            r#"{"topic":"news","everyone":true}"#,
            r#"{"topic":"news","at":1794000000}"#,
            r#"{"topic":"news","at":1794000000123456}"#,
            r#"{"topic":"news","max_age":0}"#,
            r#"{"user":"1","at":1794000000123}"#,
            r#"{"user":"1","max_age":60}"#,
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
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
