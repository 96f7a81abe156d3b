//! `POST /v1/recheck`: the users, group or session that Django is to be asked about again.
//!
//! Used by `intake`. Among the revocations that ride on a response the same object stands with
//! `"recheck": true`, which tells it from one that closes.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::json::{self, DecodeError};
use super::text;
use crate::ids::{GroupName, SessionDigest, UserId};
use crate::publication::Audience;

/// What Django is asked about again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recheck {
    /// Users, or the members of a group.
    All(Vec<Audience>),
    Session(SessionDigest),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecheckText {
    #[serde(default, deserialize_with = "text::user")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text::users")]
    users: Option<Vec<UserId>>,
    #[serde(default, deserialize_with = "text::group")]
    group: Option<GroupName>,
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
        let all = |users: Vec<UserId>| Self::All(users.into_iter().map(Audience::User).collect());
        let named = [
            text.user.map(|user| all(vec![user])),
            text.users.map(all),
            text.group
                .map(|name| Self::All(vec![Audience::Group(name)])),
            text.session.map(Self::Session),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(who), None) => Ok(who),
            _ => Err(D::Error::custom(
                "expected exactly one of user, users, group, session",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_a_group_or_a_session_are_named() {
        let digest = "ab".repeat(32);
        let decoded = |text: &str| decode(text.as_bytes());
        let user = |id| Audience::User(UserId::new(id));
        let all = |audiences: Vec<Audience>| Ok(Recheck::All(audiences));
        assert_eq!(decoded(r#"{"user":42}"#), all(vec![user("42")]));
        let two = vec![user("42"), user("a")];
        assert_eq!(decoded(r#"{"users":[42,"a"]}"#), all(two));
        let group = Audience::Group(GroupName::new("staff"));
        assert_eq!(decoded(r#"{"group":"staff"}"#), all(vec![group]));
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
            r#"{"user":"1","users":["1"]}"#,
            r#"{"everyone":true}"#,
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
