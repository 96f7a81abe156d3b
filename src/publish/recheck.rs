//! `POST /v1/recheck`: a user, or a session, of whom Django is to be asked again.
//!
//! Used by `intake`. The surprise: among the revocations that ride on a response the same object stands
//! with `"recheck": true`, which tells it from one that closes.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::json::{self, DecodeError};
use super::text;
use crate::ids::{SessionDigest, UserId};

/// Of whom Django is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recheck {
    User(UserId),
    Session(SessionDigest),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecheckText {
    #[serde(default, deserialize_with = "text::user")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text::session")]
    session: Option<SessionDigest>,
    #[serde(default, deserialize_with = "text::only_true", rename = "recheck")]
    _recheck: Option<()>,
}

/// Decodes one.
pub(super) fn decode(text: &[u8]) -> Result<Recheck, DecodeError> {
    json::decode::<Recheck>(text).map(|(recheck, _)| recheck)
}

/// Whether a text among revocations is one.
pub(super) fn is_one(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        recheck: bool,
    }
    serde_json::from_slice::<Marked>(text).is_ok_and(|marked| marked.recheck)
}

impl<'de> Deserialize<'de> for Recheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = RecheckText::deserialize(deserializer)?;
        match (text.user, text.session) {
            (Some(user), None) => Ok(Self::User(user)),
            (None, Some(session)) => Ok(Self::Session(session)),
            _ => Err(D::Error::custom("expected exactly one of user, session")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_or_a_session_is_named() {
        let digest = "ab".repeat(32);
        let decoded = |text: &str| decode(text.as_bytes());
        let user = Recheck::User(UserId::new("42"));
        assert_eq!(decoded(r#"{"user":42}"#), Ok(user));
        let session = Recheck::Session(digest.parse().unwrap());
        assert_eq!(
            decoded(&format!(r#"{{"session":"{digest}","recheck":true}}"#)),
            Ok(session)
        );
        let both = format!(r#"{{"user":"1","session":"{digest}"}}"#);
        let refused = [
            "{}",
            &both,
            r#"{"user":"1","recheck":false}"#,
            r#"{"user":"1","code":4001}"#,
            r#"{"group":"staff"}"#,
            r#"["1"]"#,
        ];
        for text in refused {
            assert!(decoded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn among_revocations_it_is_told_by_its_mark() {
        assert!(is_one(br#"{"user":"1","recheck":true}"#));
        for text in [r#"{"user":"1"}"#, r#"{"user":"1","recheck":false}"#, "[1]"] {
            assert!(!is_one(text.as_bytes()), "{text}");
        }
    }
}
