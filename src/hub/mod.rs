//! Who is connected here, and delivery to them.
//!
//! `socket` registers connections and keeps the [`Membership`] they get; `broker` delivers; `publish`
//! revokes. A connection is in several indexes (by id, user, groups, session), and only dropping its
//! [`Membership`] takes it out of all of them.

mod binding;
mod delivery;
mod denied_topics;
mod grants;
mod held;
mod hold;
mod item;
mod limits;
mod listening;
mod member;
mod outbox;
mod presence;
mod registry;
mod revocations;
mod revoked_topic;
mod served_routes;
mod subscriptions;
mod superseding;
mod topic_file;
mod topic_revocations;
mod view_ends;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use delivery::{ConnectionSnapshot, Delivery};
use denied_topics::DeniedTopics;
pub use grants::{Grants, Holder, ViewNow, ViewSays};
use held::HeldGrants;
pub use hold::Hold;
use hold::Holds;
pub use item::{Item, ItemForm, Said};
pub use limits::HubLimits;
use member::JoinOrder;
pub use member::{Member, Transport};
use outbox::Headroom;
pub use outbox::{Outbox, OutboxLimits, Taken};

use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::{SessionDigest, UserId};
use crate::publication::Audience;
use crate::setting::Setting;
pub use presence::{PresenceCount, TopicPresence};
use registry::Registry;
pub use revocations::Acquaintance;
use revocations::Revocations;
pub use revoked_topic::TopicRevocation;
pub use served_routes::ServedRoutes;
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
    limits: Setting<HubLimits>,
    routes: served_routes::RouteCheck,
}

/// Keeps a connection registered; dropping it takes the connection out of every index.
#[derive(Debug)]
pub struct Membership {
    hub: Arc<Hub>,
    member: Arc<Member>,
}

impl Hub {
    /// A hub without connections, with no limits but those of outboxes.
    pub fn new(outbox: OutboxLimits) -> Self {
        Self {
            registry: Registry::new(),
            revocations: Revocations::new(Duration::ZERO),
            revoked_topics: TopicRevocations::default(),
            denied: DeniedTopics::default(),
            held: HeldGrants::default(),
            holds: Arc::default(),
            limits: Setting::new(HubLimits::of_outboxes(outbox)),
            routes: served_routes::RouteCheck::default(),
        }
    }

    /// Keeps to these limits.
    #[must_use]
    pub fn limited(self, limits: HubLimits) -> Self {
        self.limits.set(limits);
        self
    }

    /// Has other limits from now on, for what comes. Revocations are remembered for as long as before, or longer.
    pub fn adopt(&self, limits: HubLimits, remembered: Duration) {
        self.limits.set(limits);
        self.revocations.remember_for(remembered);
        self.held.remember_for(remembered);
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

    /// Closes connections whose socket route there is no more, and refuses those to come; returns how many there were.
    pub fn serve_only(&self, routes: ServedRoutes) -> usize {
        self.routes.replace(routes);
        let mut closed = 0;
        self.registry.each(&Audience::Everyone, |member| {
            if let Some(reason) = self.routes.refusal(member) {
                member.outbox.close(&reason);
                closed += 1;
            }
        });
        closed
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
        if let Some(reason) = self.routes.refusal(&membership.member) {
            return Err(reason);
        }
        if self.is_crowded(&identity.user, place) {
            return Err(CloseReason::Policy("too many connections"));
        }
        Ok(membership)
    }

    /// Whether the user had as many connections as allowed before the one at `place`.
    fn is_crowded(&self, user: &UserId, place: JoinOrder) -> bool {
        let limit = self.limits.get().connections_per_user;
        limit.is_some_and(|limit| self.registry.of_user_before(place, user) >= limit)
    }

    /// Hands what was published to every connection of its audiences, once. Never waits for a client. The caller
    /// sees to it that nothing else is delivered meanwhile.
    pub fn deliver(&self, to: &[Audience], item: &Arc<Item>) -> Delivery {
        let mut delivery = Delivery::default();
        if item.is_expired() {
            return delivery;
        }
        let limits = self.limits.get().outbox;
        for audience in to {
            let mut found = false;
            self.registry.each(audience, |member| {
                found = true;
                if member.may_hear(audience)
                    && item.is_for(member.id, &member.socket)
                    && let Some(room) = member.outbox.push(item, limits)
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
    /// Each is told to stay away for `away` and at random up to half of `spread` more, so that clients
    /// come back when something serves them, and not together. Handshakes under way are refused.
    pub async fn drain(&self, spread: Duration, away: Duration) {
        let going_away = |more: Duration| CloseReason::GoingAway {
            delay_ms: u32::try_from((away + more).as_millis()).unwrap_or(u32::MAX),
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

#[cfg(test)]
mod tests;
