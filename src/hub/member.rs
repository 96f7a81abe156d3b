//! One connection, as the hub knows it.
//!
//! Made by `socket`, kept in the indexes by the hub. The surprise: who a connection is can change
//! while it lives, so its place in the indexes has a lock of its own; what it is now is read without.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::outbox::Outbox;
use super::subscriptions::Subscriptions;
use crate::identity::Identity;
use crate::ids::{ConnectionId, TopicName};

/// Where a connection stands in the order in which all came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JoinOrder(pub(super) u64);

/// One connection, as the hub knows it.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub id: ConnectionId,
    /// The path of its socket route.
    pub socket: Arc<str>,
    /// The client's address.
    pub address: IpAddr,
    /// When it was made.
    pub since: SystemTime,
    /// What waits for it.
    pub outbox: Outbox,
    /// Whether it has no session, and never will. Read for each frame to everyone.
    pub(super) is_visitor: bool,
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
            address,
            since: SystemTime::now(),
            outbox: Outbox::default(),
            is_visitor: identity.is_visitor(),
            identity: ArcSwap::new(identity),
            standing: Mutex::default(),
        }
    }

    /// Who it is now.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Whether it is bound to this very identity, not to an equal one.
    pub(super) fn is_bound_to(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity.load(), identity)
    }

    /// Makes it somebody else; for the registry, which holds its standing meanwhile.
    pub(super) fn set_identity(&self, identity: Arc<Identity>) {
        self.identity.store(identity);
    }

    /// The topics that it listens to.
    pub fn topics(&self) -> Vec<TopicName> {
        self.standing().topics.heard().cloned().collect()
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock()
    }
}
