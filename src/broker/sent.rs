//! Publications as one gateway tells another process of them: whole, with nothing of this process's own in it.
//!
//! Used where a new program takes this one's place: for what the history keeps, and for what is published meanwhile.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, TopicName, UserId};
use crate::publication::{Audience, Content, Frame, Publication};

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentPublication {
    to: Vec<SentAudience>,
    content: SentContent,
    event: Option<Box<str>>,
    end: bool,
    key: Option<Box<str>>,
    /// For so many milliseconds it is delivered.
    left: Option<u64>,
    exclude: Option<String>,
    socket: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum SentAudience {
    User(String),
    Group(String),
    Session(String),
    Connection(String),
    Topic(String),
    Everyone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SentContent {
    Frame(String),
    Text(String),
    Nothing,
}

impl SentPublication {
    /// A publication, as it is told of at `now`.
    pub fn of(publication: &Publication, now: Instant) -> Self {
        let left = publication.expires.map(|expires| {
            let left = expires.saturating_duration_since(now);
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            to: publication.to.iter().map(SentAudience::of).collect(),
            content: match &publication.content {
                Content::Frame(frame) => SentContent::Frame(frame.text().to_string()),
                Content::Text(text) => SentContent::Text(text.to_string()),
                Content::Nothing => SentContent::Nothing,
            },
            event: publication.event.clone(),
            end: publication.end,
            key: publication.key.clone(),
            left,
            exclude: publication.exclude.map(|id| id.to_string()),
            socket: publication.socket.clone(),
        }
    }

    /// The publication; `None` where that is none.
    pub fn publication(self, now: Instant) -> Option<Publication> {
        let to = self.to.iter().map(SentAudience::audience);
        Some(Publication {
            to: to.collect::<Option<_>>()?,
            content: match self.content {
                SentContent::Frame(text) => Content::Frame(Frame::new(text)),
                SentContent::Text(text) => Content::Text(text.into()),
                SentContent::Nothing => Content::Nothing,
            },
            event: self.event,
            end: self.end,
            key: self.key,
            expires: match self.left {
                Some(left) => now.checked_add(Duration::from_millis(left)),
                None => None,
            },
            exclude: match self.exclude {
                Some(id) => Some(id.parse().ok()?),
                None => None,
            },
            socket: self.socket,
        })
    }

    /// How long its text is, in bytes.
    pub fn size(&self) -> usize {
        match &self.content {
            SentContent::Frame(text) | SentContent::Text(text) => text.len(),
            SentContent::Nothing => 0,
        }
    }
}

impl SentAudience {
    pub(super) fn of(audience: &Audience) -> Self {
        match audience {
            Audience::User(user) => Self::User(user.to_string()),
            Audience::Group(group) => Self::Group(group.as_str().to_owned()),
            Audience::Session(session) => Self::Session(session.to_string()),
            Audience::Connection(connection) => Self::Connection(connection.to_string()),
            Audience::Topic(topic) => Self::Topic(topic.to_string()),
            Audience::Everyone => Self::Everyone,
        }
    }

    pub(super) fn audience(&self) -> Option<Audience> {
        Some(match self {
            Self::User(user) => Audience::User(UserId::new(user)),
            Self::Group(group) => Audience::Group(GroupName::new(group)),
            Self::Session(session) => Audience::Session(session.parse().ok()?),
            Self::Connection(connection) => Audience::Connection(connection.parse().ok()?),
            Self::Topic(topic) => Audience::Topic(TopicName::new(topic)?),
            Self::Everyone => Audience::Everyone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_the_same_behind_it() {
        let now = Instant::now();
        let digest = "ab".repeat(32);
        let publication = Publication {
            to: vec![
                Audience::User(UserId::new("42")),
                Audience::Group(GroupName::new("staff")),
                Audience::Session(digest.parse().unwrap()),
                Audience::Topic(TopicName::new("shop.order:17").unwrap()),
                Audience::Everyone,
            ],
            content: Content::Text("<li>\u{1}</li>".into()),
            event: Some("order".into()),
            end: true,
            key: Some("k".into()),
            expires: Some(now + Duration::from_secs(9)),
            exclude: Some("ab".repeat(8).parse().unwrap()),
            socket: Some("/ws/".into()),
        };
        let sent = SentPublication::of(&publication, now);
        let text = serde_json::to_string(&sent).unwrap();
        let read: SentPublication = serde_json::from_str(&text).unwrap();
        let again = read.publication(now).unwrap();
        assert_eq!(format!("{again:?}"), format!("{publication:?}"));
    }
}
