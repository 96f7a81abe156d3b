//! One connection, as the hub knows it.
//!
//! Made by `socket`, kept in the indexes by the hub. Who a connection is can change while it lives,
//! so its place in the indexes has a lock of its own; what it is now is read without.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::outbox::Outbox;
use super::subscriptions::Subscriptions;
use crate::identity::Identity;
use crate::ids::{ConnectionId, TopicName};
use crate::publication::Audience;

/// Where a connection stands in the order in which all came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JoinOrder(pub(super) u64);

/// What a connection is to its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    #[default]
    WebSocket,
    /// A response of events (SSE).
    EventStream,
    /// A response of lines, each a JSON value.
    JsonLines,
}

impl Transport {
    /// What it is called where connections are listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventStream => "sse",
            Self::JsonLines => "ndjson",
        }
    }
}

/// One connection, as the hub knows it.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub id: ConnectionId,
    /// The path of its socket route.
    pub socket: Arc<str>,
    /// What it is to its client.
    pub transport: Transport,
    /// The client's address.
    pub address: IpAddr,
    /// When it was made.
    pub since: SystemTime,
    /// What waits for it.
    pub outbox: Outbox,
    /// Whether it counts among those who are present, and is told how many they are.
    pub(super) is_present: bool,
    /// Whether it hears topics alone. Read for each frame to everyone.
    pub(super) hears_topics_alone: bool,
    /// Whether Django began it, with a response that the gateway goes on with.
    pub(super) is_handed_over: bool,
    identity: ArcSwap<Identity>,
    /// Locked before any shard of the indexes.
    standing: Mutex<Standing>,
}

/// Where a connection stands in the indexes.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// While it is in them.
    pub(super) place: Option<JoinOrder>,
    /// What it listens to besides what its identity is in.
    pub(super) topics: Subscriptions,
}

impl Member {
    /// A new connection of this identity, which all connections of its session share.
    pub fn new(identity: Arc<Identity>, socket: Arc<str>, address: IpAddr) -> Self {
        Self {
            id: ConnectionId::random(),
            socket,
            transport: Transport::default(),
            address,
            since: SystemTime::now(),
            outbox: Outbox::default(),
            // Who has no session, and never will.
            hears_topics_alone: identity.is_visitor(),
            is_handed_over: false,
            is_present: false,
            identity: ArcSwap::new(identity),
            standing: Mutex::default(),
        }
    }

    /// The same, counted among those who are present, or not.
    #[must_use]
    pub fn present(self, is_present: bool) -> Self {
        Self { is_present, ..self }
    }

    /// Whether it hears what is for an audience: a visitor hears topics alone, and so does what Django handed over.
    pub(super) fn may_hear(&self, audience: &Audience) -> bool {
        matches!(audience, Audience::Topic(_)) || !self.hears_topics_alone
    }

    /// The same over another transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The same as a response that Django began: it hears what Django says it does, and nothing else.
    #[must_use]
    pub fn handed_over(mut self, transport: Transport) -> Self {
        (self.hears_topics_alone, self.is_handed_over) = (true, true);
        self.over(transport)
    }

    /// Who it is now.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Whether it is bound to this very identity, not to an equal one.
    pub(super) fn is_bound_to(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity.load(), identity)
    }

    /// Gives it another identity; for the registry, which holds its standing meanwhile.
    pub(super) fn set_identity(&self, identity: Arc<Identity>) {
        self.identity.store(identity);
    }

    /// The topics that it listens to.
    pub fn topics(&self) -> Vec<TopicName> {
        self.standing().topics.heard().cloned().collect()
    }

    /// The audiences that it belongs to because of who it is.
    pub fn audiences(&self) -> Vec<Audience> {
        if self.hears_topics_alone {
            return Vec::new();
        }
        let everyone = [Audience::Everyone];
        audiences(&self.identity()).chain(everyone).collect()
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock()
    }
}

/// Every audience that is kept for a connection, besides itself and everyone.
pub(super) fn audiences(identity: &Identity) -> impl Iterator<Item = Audience> {
    let user = (!identity.is_visitor()).then(|| Audience::User(identity.user.clone()));
    user.into_iter()
        .chain(identity.groups.iter().cloned().map(Audience::Group))
        .chain(identity.sessions.iter().copied().map(Audience::Session))
}
