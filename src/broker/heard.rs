//! What callers of the broker say of a connection that begins to listen, and what they get back.

use std::time::Instant;

use crate::hub::{Grant, NotHeard};
use crate::ids::{ConnectionId, TopicName};
use crate::publication::Position;

/// A new connection.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// Which.
    pub connection: ConnectionId,
    /// What its client has.
    pub since: Since,
    /// When Django was asked for what the client is told first, where it is told something.
    pub told: Option<Instant>,
    /// Topics that it is to hear.
    pub grants: &'a [Grant],
}

/// What a connection asks for while it lives.
#[derive(Clone, Copy, Debug)]
pub struct Subscribing<'a> {
    /// What its client has of it.
    pub since: Since,
    /// Topics that it is to hear.
    pub grants: &'a [Grant],
}

/// What a client says that it has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// It does not say.
    #[default]
    Unsaid,
    /// Everything until then; `None` where that is no position of a gateway's.
    Position(Option<Position>),
}

/// Whether a client gets all that it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// From where on it hears. A client that comes back with it misses nothing of what follows.
    pub position: Position,
    /// Whether nothing is missing; also where the client does not say what it has.
    pub recovered: bool,
}

/// What a connection hears of what was granted to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it hears.
    pub topics: Vec<TopicName>,
    /// What not.
    pub refused: Vec<RefusedTopic>,
    /// From where on.
    pub recovery: Recovery,
}

/// A topic that was granted in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTopic {
    /// Which.
    pub topic: TopicName,
    /// Why.
    pub why: NotHeard,
}
