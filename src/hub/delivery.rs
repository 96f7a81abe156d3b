//! What the hub tells: how far a publication got, and who is connected.

use std::sync::Arc;

use super::Member;

/// How far a publication got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Connections that were given the frame.
    pub sockets: usize,
    /// Addressed users without any connection here.
    pub offline: usize,
    /// Whether the outbox of one of these connections is more than half full: a caller with more to
    /// send should let the client read first.
    pub crowded: bool,
}

/// What `GET /v1/connections` tells of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionSnapshot {
    /// The connection itself: id, identity, route, address, start.
    pub member: Arc<Member>,
    /// Frames taken by the connection so far.
    pub sent: u64,
    /// Frames that wait.
    pub queued: usize,
}
