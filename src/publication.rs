//! What Django publishes: an audience, a frame and options.
//!
//! Decoded by `publish`, numbered by `broker`, delivered by `hub`. The surprise: a [`Frame`] is the
//! very bytes Django wrote, checked to be JSON but never serialised again, and shared by all
//! receivers.

use std::fmt;
use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::ids::{ConnectionId, GroupName, SessionDigest, UserId};

/// Whom a publication addresses.
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

/// A frame on its way to an audience.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Whom it is for; several users of one call are several audiences.
    pub to: Vec<Audience>,
    /// What they get.
    pub frame: Frame,
    /// Frames of one key conflate: a slow client keeps only the newest waiting one.
    pub key: Option<Box<str>>,
    /// After this moment nobody wants it any more.
    pub expires: Option<Instant>,
    /// A connection that does not get it, usually the sender's.
    pub exclude: Option<ConnectionId>,
    /// Only connections at this socket route get it.
    pub socket: Option<Box<str>>,
}

/// Where in the history a publication is: `generation.sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Changes when the history starts anew.
    pub generation: u32,
    /// Counts publications within a generation.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{}", self.generation, self.sequence)
    }
}
