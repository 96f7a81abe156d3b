//! Who is connected here, and delivery to them.
//!
//! `socket` registers connections and keeps the [`Membership`] they get; `broker` delivers; `publish`
//! revokes. The surprise: a connection is in several indexes (by id, user, groups, session), and only
//! dropping its [`Membership`] takes it out of all of them.

mod binding;
mod denied_topics;
mod grants;
mod held;
mod hold;
mod item;
mod listening;
mod member;
mod outbox;
mod presence;
mod registry;
mod revocations;
mod revoked_topic;
mod subscriptions;
mod topic_file;
mod topic_revocations;
mod view_ends;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use denied_topics::DeniedTopics;
pub use grants::{Grants, Holder, ViewNow, ViewSays};
use held::HeldGrants;
pub use hold::Hold;
use hold::Holds;
pub use item::{Item, ItemForm, Said};
use member::JoinOrder;
pub use member::{Member, Transport};
use outbox::Headroom;
pub use outbox::{Outbox, OutboxLimits, Taken};

use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::{SessionDigest, UserId};
use crate::publication::Audience;
pub use presence::{PresenceCount, TopicPresence};
use registry::Registry;
pub use revocations::Acquaintance;
use revocations::Revocations;
pub use revoked_topic::TopicRevocation;
pub use subscriptions::{Grant, Granter, HeardView, NotHeard};
use topic_revocations::TopicRevocations;
pub use view_ends::ViewEnd;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::topic_file::fuzzing::topics;
}

/// All connections of this process.
#[derive(Debug)]
pub struct Hub {
    registry: Registry,
    revocations: Revocations,
    revoked_topics: TopicRevocations,
    denied: DeniedTopics,
    held: HeldGrants,
    holds: Arc<Holds>,
    limits: OutboxLimits,
    connections_per_user: usize,
    topics_per_connection: usize,
}

/// Keeps a connection registered; dropping it takes the connection out of every index.
#[derive(Debug)]
pub struct Membership {
    hub: Arc<Hub>,
    member: Arc<Member>,
}

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

impl Hub {
    /// A hub without connections.
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            registry: Registry::new(),
            revocations: Revocations::new(Duration::ZERO),
            revoked_topics: TopicRevocations::default(),
            denied: DeniedTopics::default(),
            held: HeldGrants::default(),
            holds: Arc::default(),
            limits,
            connections_per_user: usize::MAX,
            topics_per_connection: usize::MAX,
        }
    }

    /// Takes no more than this many connections of one user.
    #[must_use]
    pub fn with_connections_per_user(mut self, limit: Option<usize>) -> Self {
        self.connections_per_user = limit.unwrap_or(usize::MAX);
        self
    }

    /// Lets no connection listen to more topics than this.
    #[must_use]
    pub fn with_topics_per_connection(mut self, limit: usize) -> Self {
        self.topics_per_connection = limit;
        self
    }

    /// Has revocations of topics survive this process, in a file.
    #[must_use]
    pub fn with_topic_file(mut self, path: PathBuf) -> Self {
        self.revoked_topics = TopicRevocations::kept_in(path);
        self
    }

    /// Remembers revocations for as long as somebody may rely upon an older answer of Django's.
    #[must_use]
    pub fn remembering(mut self, revocations: Duration) -> Self {
        self.revocations = Revocations::new(revocations);
        self.held = HeldGrants::remembering(revocations);
        self
    }

    /// The reason for which an identity counts no more about which Django was asked at `asked`, where it
    /// was revoked since, or its session has just ended.
    pub fn revoked(&self, identity: &Identity, asked: Instant) -> Option<CloseReason> {
        self.revocations.of(identity, asked)
    }

    /// As [`Hub::revoked`], but for what concerns everyone.
    pub fn revoked_by_name(&self, identity: &Identity, asked: Instant) -> bool {
        self.revocations.by_name(identity, asked).is_some()
    }

    /// Adds a connection whose identity was asked for at `asked`.
    ///
    /// Fails with the reason of a revocation that came after the asking: the identity may then be
    /// older than the revocation. Fails with [`CloseReason::Policy`] where the user has as many
    /// connections as allowed; looked up after inserting, too, so that a crowd gets exactly these.
    pub fn register(
        self: &Arc<Self>,
        member: Member,
        asked: Instant,
    ) -> Result<Membership, CloseReason> {
        let member = Arc::new(member);
        let place = self.registry.insert(&member);
        let membership = Membership {
            hub: Arc::clone(self),
            member,
        };
        let identity = membership.member.identity();
        // Looked up after inserting: a revocation either finds the connection or is found here.
        if let Some(reason) = self.revocations.of(&identity, asked) {
            return Err(reason);
        }
        if self.is_crowded(&identity.user, place) {
            return Err(CloseReason::Policy("too many connections"));
        }
        Ok(membership)
    }

    /// Whether the user had as many connections as allowed before the one at `place`.
    fn is_crowded(&self, user: &UserId, place: JoinOrder) -> bool {
        let limit = self.connections_per_user;
        limit < usize::MAX && self.registry.of_user_before(place, user) >= limit
    }

    /// Hands what was published to every connection of its audiences, once. Never waits for a client. The caller
    /// sees to it that nothing else is delivered meanwhile.
    pub fn deliver(&self, to: &[Audience], item: &Arc<Item>) -> Delivery {
        let mut delivery = Delivery::default();
        if item.is_expired() {
            return delivery;
        }
        for audience in to {
            let mut found = false;
            self.registry.each(audience, |member| {
                found = true;
                if may_hear(member, audience)
                    && item.is_for(member.id, &member.socket)
                    && let Some(room) = member.outbox.push(item, self.limits)
                {
                    delivery.sockets += 1;
                    delivery.crowded |= room == Headroom::Little;
                }
            });
            if !found && matches!(audience, Audience::User(_)) {
                delivery.offline += 1;
            }
        }
        delivery
    }

    /// Closes every connection of an audience, and refuses handshakes that asked Django before now. Those
    /// that are held (see [`Hold`]) fall silent now and close later. Returns how many there were.
    pub fn close(&self, audience: &Audience, reason: &CloseReason) -> usize {
        self.revocations
            .record(audience, reason, Acquaintance::Known);
        let mut closed = 0;
        self.registry.each(audience, |member| {
            closed += usize::from(self.holds.close(member, reason));
        });
        closed
    }

    /// Begins to hold back the closes of these sessions' connections.
    pub fn hold(&self, sessions: Box<[SessionDigest]>) -> Hold {
        self.holds.hold(sessions)
    }

    /// Closes every connection because the gateway is going away, one after the other over `spread`.
    ///
    /// Each is told to stay away for as long again and at random up to half of that more, so that
    /// clients come back when all are gone, and not together. Handshakes under way are refused.
    pub async fn drain(&self, spread: Duration) {
        let going_away = |more: Duration| CloseReason::GoingAway {
            delay_ms: u32::try_from((spread + more).as_millis()).unwrap_or(u32::MAX),
        };
        let unjittered = going_away(Duration::ZERO);
        let (everyone, known) = (Audience::Everyone, Acquaintance::Known);
        self.revocations.record(&everyone, &unjittered, known);
        let mut members = Vec::with_capacity(self.len());
        self.registry.each(&Audience::Everyone, |member| {
            members.push(Arc::clone(member));
        });
        let slot = spread / u32::try_from(members.len().max(1)).unwrap_or(u32::MAX);
        let mut due = tokio::time::Instant::now();
        for member in members {
            // Timers have millisecond grain, so a whole batch may be due at once.
            if tokio::time::Instant::now() < due {
                tokio::time::sleep_until(due).await;
            }
            let fraction = f64::from(member.id.low_bits()) / f64::from(u32::MAX);
            let more = spread.mul_f64(0.5 * fraction);
            member.outbox.close(&going_away(more));
            due += slot;
        }
    }

    /// What a client is told that comes while the gateway goes away.
    pub fn going_away(&self) -> CloseReason {
        let told = self.revocations.of_everyone();
        // For the moment before `drain` has begun.
        told.unwrap_or(CloseReason::GoingAway { delay_ms: 1000 })
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Membership {
    /// The connection.
    pub fn member(&self) -> &Member {
        &self.member
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hub.registry.remove(&self.member);
        self.member.outbox.leave();
    }
}

/// A visitor hears topics alone, and so does what Django handed over.
fn may_hear(member: &Member, audience: &Audience) -> bool {
    matches!(audience, Audience::Topic(_)) || !member.hears_topics_alone
}

#[cfg(test)]
mod tests;
