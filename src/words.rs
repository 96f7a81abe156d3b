//! The gateway's own words: what it says itself, to plain clients as objects with the member `gatepost`.
//!
//! Said by every part that has something to say; they travel with the frames, in order. No frame of Django's may
//! look like one of these, so that a page can tell who speaks.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::ids::{ConnectionId, TopicName};
use crate::publication::Position;

/// What tells the gateway's words from frames.
const MARK: &str = "gatepost";

/// Something to say. What is absent is not said.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Word<'a> {
    gatepost: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Displayed<ConnectionId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [&'a str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Displayed<Position>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
}

/// A word as it is written. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordText(Utf8Bytes);

/// An id or a position, as it is written.
#[derive(Clone, Copy, Debug)]
struct Displayed<T>(T);

impl<'a> Word<'a> {
    /// This connection begins here. `recovered`: whether its client misses nothing; where it is told so.
    pub fn welcome(connection: ConnectionId, position: Position, recovered: Option<bool>) -> Self {
        Self {
            gatepost: "welcome",
            connection: Some(Displayed(connection)),
            position: Some(Displayed(position)),
            recovered,
            ..Self::default()
        }
    }

    /// So many users and connections listen to this topic.
    pub fn presence(topic: &'a TopicName, users: usize, connections: usize) -> Self {
        Self {
            gatepost: "presence",
            topic: Some(topic.as_str()),
            users: Some(users),
            connections: Some(connections),
            ..Self::default()
        }
    }

    /// The client has everything until here.
    pub fn position(position: Position) -> Self {
        Self {
            gatepost: "position",
            position: Some(Displayed(position)),
            ..Self::default()
        }
    }

    /// Fetch the data again: something may be missing.
    pub fn resync() -> Self {
        Self {
            gatepost: "resync",
            ..Self::default()
        }
    }

    /// These topics are heard from this position on; whether nothing is missing since the one that the
    /// client named.
    pub fn subscribed(topics: &'a [&'a str], position: Position, recovered: bool) -> Self {
        Self {
            gatepost: "subscribed",
            topics: Some(topics),
            position: Some(Displayed(position)),
            recovered: Some(recovered),
            ..Self::default()
        }
    }

    /// These topics are heard no more.
    pub fn unsubscribed(topics: &'a [&'a str], reason: &'static str) -> Self {
        Self {
            gatepost: "unsubscribed",
            topics: Some(topics),
            reason: Some(reason),
            ..Self::default()
        }
    }

    /// These topics were asked for in vain.
    pub fn refused(topics: &'a [&'a str], reason: &'static str) -> Self {
        Self {
            gatepost: "refused",
            topics: Some(topics),
            reason: Some(reason),
            ..Self::default()
        }
    }

    /// The topics of this path were asked for in vain.
    pub fn path_refused(path: &'a str, reason: &'static str) -> Self {
        Self {
            gatepost: "refused",
            path: Some(path),
            reason: Some(reason),
            ..Self::default()
        }
    }

    /// Says to which message it is the answer.
    #[must_use]
    pub fn to(self, id: Option<&'a RawValue>) -> Self {
        Self { id, ..self }
    }

    /// The word as it is written.
    pub fn text(&self) -> WordText {
        // Texts, numbers and raw JSON always serialise.
        WordText(serde_json::to_string(self).unwrap_or_default().into())
    }
}

impl WordText {
    /// What a plain client gets.
    pub fn plain(&self) -> Utf8Bytes {
        self.0.clone()
    }

    /// What a client gets that knows the gateway's words by the member `control`.
    pub fn control(&self) -> String {
        // The mark is the first member, and no other text comes before it.
        self.0.replacen(MARK, "control", 1)
    }

    /// Its length in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl<T: fmt::Display> Serialize for Displayed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The names, as words have them.
pub fn texts(topics: &[TopicName]) -> Vec<&str> {
    topics.iter().map(TopicName::as_str).collect()
}

/// Whether one JSON value could be taken for a word of the gateway's own.
pub fn is_one(json: &str) -> bool {
    // A frame is large and hardly ever one: the mark, or an escape that may hide it, is looked for first.
    json.trim_ascii_start().starts_with('{')
        && (json.contains(MARK) || json.contains('\\'))
        && serde_json::from_str::<Marked>(json).is_ok_and(|marked| marked.0)
}

/// Whether an object has the mark among its members.
struct Marked(bool);

impl<'de> Deserialize<'de> for Marked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Marked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Marked, A::Error> {
                let mut found = false;
                while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    found |= name == MARK;
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Marked(found))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_just_what_is_said() {
        assert_eq!(&*Word::resync().text().plain(), r#"{"gatepost":"resync"}"#);
        let topic = TopicName::new("news").unwrap();
        assert_eq!(
            &*Word::presence(&topic, 2, 3).text().plain(),
            r#"{"gatepost":"presence","topic":"news","users":2,"connections":3}"#
        );
        let resync = Word::resync().text().control();
        assert_eq!(resync, r#"{"control":"resync"}"#);
        let position = Position {
            generation: 7,
            sequence: 12,
        };
        let connection: ConnectionId = "9f8e7d6c5b4a3921".parse().unwrap();
        let welcome = |recovered| Word::welcome(connection, position, recovered).text();
        assert_eq!(
            &*welcome(None).plain(),
            r#"{"gatepost":"welcome","connection":"9f8e7d6c5b4a3921","position":"00000007.12"}"#
        );
        assert_eq!(
            welcome(Some(false)).control(),
            r#"{"control":"welcome","connection":"9f8e7d6c5b4a3921","position":"00000007.12","recovered":false}"#
        );
        assert_eq!(
            Word::position(position).text().control(),
            r#"{"control":"position","position":"00000007.12"}"#
        );
        let id = RawValue::from_string("[1e400]".into()).unwrap();
        let subscribed = Word::subscribed(&["news", "a.b:1"], position, true).to(Some(&id));
        assert_eq!(
            &*subscribed.text().plain(),
            r#"{"gatepost":"subscribed","topics":["news","a.b:1"],"position":"00000007.12","recovered":true,"id":[1e400]}"#
        );
        assert_eq!(
            &*Word::unsubscribed(&["news"], "revoked").text().plain(),
            r#"{"gatepost":"unsubscribed","topics":["news"],"reason":"revoked"}"#
        );
        assert_eq!(
            &*Word::path_refused("/ws/\"x", "not_allowed").text().plain(),
            r#"{"gatepost":"refused","path":"/ws/\"x","reason":"not_allowed"}"#
        );
    }

    #[test]
    fn an_object_with_the_mark_is_known_however_it_is_spelled() {
        for json in [
            r#"{"gatepost":1}"#,
            r#" { "a" : [ { } ] , "gatepost" : null } "#,
            r#"{"g\u0061tepost":"resync"}"#,
        ] {
            assert!(is_one(json), "{json}");
        }
        for json in [
            r#"{"a":{"gatepost":1}}"#,
            r#"["gatepost"]"#,
            r#""gatepost""#,
            r#"{"type":"gatepost"}"#,
            r#"{"gatepost2":1,"x":"\""}"#,
            "1",
            "",
        ] {
            assert!(!is_one(json), "{json}");
        }
    }
}
