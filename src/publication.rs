//! What Django publishes: an audience, a frame or a text, and options.
//!
//! Decoded by `publish`, numbered by `broker`, delivered by `hub`. A [`Frame`] is the very bytes
//! Django wrote, checked to be JSON but never serialised again, and shared by all receivers.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::ids::{ConnectionId, GroupName, SessionDigest, TopicName, UserId};

/// Who a publication is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every connection of a user.
    User(UserId),
    /// Every connection whose identity is in a group.
    Group(GroupName),
    /// Every connection of one session.
    Session(SessionDigest),
    /// One connection.
    Connection(ConnectionId),
    /// Every connection that listens to a topic.
    Topic(TopicName),
    /// Every connection.
    Everyone,
}

/// One JSON text message, byte for byte as Django wrote it. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Utf8Bytes);

impl Frame {
    /// Wraps text that was checked to be one JSON value.
    pub fn new(text: impl Into<Utf8Bytes>) -> Self {
        Self(text.into())
    }

    /// The text, shared.
    pub fn text(&self) -> Utf8Bytes {
        self.0.clone()
    }

    /// Its length in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// What a publication says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A frame.
    Frame(Frame),
    /// A text that is sent as it is, such as HTML.
    Text(Utf8Bytes),
    /// Nothing but its end.
    Nothing,
}

impl Content {
    /// Its length in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.size(),
            Self::Text(text) => text.len(),
            Self::Nothing => 0,
        }
    }
}

/// An event's name is not longer, in bytes.
const LONGEST_EVENT: usize = 100;

/// Whether an event of SSE may be called so: two names are the gateway's own.
pub fn is_event_name(text: &str) -> bool {
    let fits = (1..=LONGEST_EVENT).contains(&text.len()) && !text.contains(char::is_control);
    fits && !matches!(text, "gatepost" | "close")
}

/// Something on its way to an audience.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who it is for; several users of one call are several audiences.
    pub to: Vec<Audience>,
    /// What they get.
    pub content: Content,
    /// What clients of SSE know it by.
    pub event: Option<Box<str>>,
    /// Whether the streams that hear it end behind it.
    pub end: bool,
    /// Frames of one key conflate: a slow client keeps only the newest waiting one.
    pub key: Option<Box<str>>,
    /// After this moment it is not delivered any more.
    pub expires: Option<Instant>,
    /// A connection that does not get it, usually the sender's.
    pub exclude: Option<ConnectionId>,
    /// Only connections at this socket route get it.
    pub socket: Option<Box<str>>,
}

/// Where in the history a publication is: `generation.sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Changes when the history starts over.
    pub generation: u32,
    /// Counts publications within a generation.
    pub sequence: u64,
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (generation, sequence) = text.split_once('.').ok_or(NotAPosition)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if generation.len() != 8 || !is_number(generation) || !is_number(sequence) {
            return Err(NotAPosition);
        }
        Ok(Self {
            generation: u32::from_str_radix(generation, 16).map_err(|_| NotAPosition)?,
            sequence: sequence.parse().map_err(|_| NotAPosition)?,
        })
    }
}

/// The text is no position of a gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a position, such as \"5b2f0e6c.1\"")]
pub struct NotAPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{}", self.generation, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text_form_and_has_one_spelling() {
        let position = Position {
            generation: 0x5b_2f_0e_6c,
            sequence: u64::MAX,
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in [
            "",
            "5b2f0e6c",
            "5b2f0e6c.",
            "+b2f0e6c.1",
            "5b2f0e6c.+1",
            "1.1",
            "5b2f0e6c.1.1",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }
}
