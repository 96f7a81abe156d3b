//! The grants that connections go by: what Django is asked about again, and what its word does to them.
//!
//! Called by `session`. What ends a grant was asked for at a certain moment, and takes nothing away that was
//! granted since.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::held::{HeldAnswer, HeldKey};
use super::registry::Registry;
use super::subscriptions::{Grant, Granter, HeardView};
use super::{Hub, Item, Member, ViewEnd};
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::{ConnectionId, SessionDigest, TopicName, ViewTarget};
use crate::words::{self, Word};

/// A view that gives no judgement at the end of what it granted is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// The grants of all connections.
#[derive(Debug)]
pub struct Grants<'a> {
    hub: &'a Hub,
    registry: &'a Registry,
}

/// Whose grants.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// Those of all connections of a session.
    Session(&'a Arc<Identity>),
    /// Those of one connection.
    Connection(ConnectionId),
}

/// What a view says now.
#[derive(Clone, Copy, Debug)]
pub struct ViewNow<'a> {
    /// Which.
    pub view: &'a ViewTarget,
    /// When it was asked.
    pub asked: Instant,
    /// What it says.
    pub says: ViewSays<'a>,
}

/// What a view says now, or that it says nothing.
#[derive(Clone, Copy, Debug)]
pub enum ViewSays<'a> {
    /// These topics may be heard, until then.
    Topics(&'a [TopicName], Option<SystemTime>),
    /// Nothing may be heard; for this reason a connection of its own path closes.
    Nothing(&'a CloseReason),
    /// It gives no judgement. After so long without one it counts as [`Self::Nothing`].
    Silence(Duration, &'a CloseReason),
}

impl<'a> Grants<'a> {
    pub(super) fn of(hub: &'a Hub) -> Self {
        Self {
            hub,
            registry: &hub.registry,
        }
    }

    /// The views that somebody goes by, each once.
    pub fn views(&self, holder: Holder<'_>) -> BTreeSet<ViewTarget> {
        let mut views = BTreeSet::new();
        for member in self.members(holder) {
            let standing = member.standing();
            let known = standing.topics.views().iter();
            views.extend(known.map(|heard| heard.view.clone()));
        }
        views
    }

    /// What somebody hears by tokens of their own, each once.
    pub fn token_topics(&self, holder: Holder<'_>) -> BTreeSet<TopicName> {
        let mut topics = BTreeSet::new();
        for member in self.members(holder) {
            topics.extend(member.standing().topics.by_tokens().cloned());
        }
        topics
    }

    /// Takes up to `most` ends of what views granted that have come; each view is to be asked first.
    pub fn take_ends(&self, now: SystemTime, most: usize) -> Vec<ViewEnd> {
        self.registry.ends.take(now, most)
    }

    /// Who a connection is, while it is there.
    pub fn identity(&self, connection: ConnectionId) -> Option<Arc<Identity>> {
        Some(self.registry.find(connection)?.identity())
    }

    /// Acts upon what a view says. Returns how many connections were closed.
    pub fn settle_view(&self, holder: Holder<'_>, now: &ViewNow<'_>) -> usize {
        let members = self.members(holder);
        let closed = members.iter().map(|member| self.settle_one(member, now));
        closed.filter(|closed| *closed).count()
    }

    /// Takes a topic away that a user's own tokens granted, since Django, asked at `asked`, no longer grants it.
    /// Older tokens do not grant it again.
    pub fn end_token(&self, holder: Holder<'_>, topic: &TopicName, asked: Instant) {
        for member in self.members(holder) {
            let user = &member.identity().user;
            self.hub.denied.put(topic, user, asked);
            if self.registry.end_token(&member, topic) {
                self.say_ended(&member, std::slice::from_ref(topic), "not_allowed");
            }
        }
    }

    /// What a view has just said of a session, and who that is: perhaps a visitor. What it goes on granting may be
    /// replayed to a client that comes back.
    pub fn hear(
        &self,
        session: Option<SessionDigest>,
        identity: Option<&Identity>,
        now: &ViewNow<'_>,
    ) {
        let (hub, is_visitor) = (self.hub, identity.is_some_and(Identity::is_visitor));
        let key = HeldKey::of(session.filter(|_| !is_visitor), now.view);
        let (ViewSays::Topics(topics, expires), Some(identity)) = (now.says, identity) else {
            return hub.held.end(&key, now.asked);
        };
        let user = &identity.user;
        let answer = HeldAnswer::of(user, now.asked, topics).until(expires);
        hub.held.put(key, answer, |old, topic| {
            hub.revocations.of(identity, old.asked).is_none()
                && !hub.revoked_topics.cover_asked(topic, user, old.asked)
        });
    }

    /// The moment before which a grant lets nobody hear, as far as the hub knows: since when the view granted it, or when
    /// Django said last that tokens of the user's own grant it no more.
    pub fn since(&self, who: &Identity, grant: &Grant) -> Option<Instant> {
        let (view, asked) = match &grant.by {
            Granter::View(heard) => (&heard.view, heard.asked),
            Granter::Stream { view, asked } => (view, *asked),
            Granter::Token {
                is_public: true, ..
            } => return None,
            Granter::Token { .. } => return self.hub.denied.last(&grant.topic, &who.user),
        };
        let key = HeldKey::of(who.sessions.first().copied(), view);
        Some(self.hub.held.since(&key, &grant.topic, asked))
    }

    fn settle_one(&self, member: &Arc<Member>, now: &ViewNow<'_>) -> bool {
        let Some(known) = known(member, now) else {
            return false;
        };
        let is_over = |end: SystemTime| end <= SystemTime::now();
        let (kept, expires, reason, close) = match now.says {
            ViewSays::Topics(_, Some(end)) if is_over(end) => (&[][..], None, "expired", None),
            ViewSays::Topics(topics, expires) => (topics, expires, "not_allowed", None),
            ViewSays::Nothing(close) => (&[][..], None, "not_allowed", Some(close)),
            ViewSays::Silence(grace, close) if known.asked.elapsed() >= grace => {
                (&[][..], None, "unavailable", Some(close))
            }
            ViewSays::Silence(..) => {
                if known.expires.is_some_and(is_over) {
                    let again = SystemTime::now() + AGAIN;
                    self.registry.postpone(member, now.view, again);
                }
                return false;
            }
        };
        let said = HeardView {
            view: now.view.clone(),
            asked: now.asked,
            expires,
            is_own: known.is_own,
        };
        let ended = self.registry.settle_view(member, &said, kept);
        if kept.is_empty() {
            let session = member.identity().sessions.first().copied();
            let key = HeldKey::of(session, now.view);
            self.hub.held.end(&key, now.asked);
        }
        self.say_ended(member, &ended.unwrap_or_default(), reason);
        let close = close.filter(|_| known.is_own);
        close.is_some_and(|close| self.hub.close_one(member, close))
    }

    fn say_ended(&self, member: &Member, ended: &[TopicName], reason: &'static str) {
        if !ended.is_empty() {
            let word = Word::unsubscribed(&words::texts(ended), reason).text();
            member
                .outbox
                .push(&Item::word(word), self.hub.limits.get().outbox);
        }
    }

    fn members(&self, holder: Holder<'_>) -> Vec<Arc<Member>> {
        match holder {
            Holder::Session(identity) => self.hub.bound_to(identity),
            Holder::Connection(id) => self.registry.find(id).into_iter().collect(),
        }
    }
}

/// The view as a connection goes by it, unless a later answer came meanwhile.
fn known(member: &Member, now: &ViewNow<'_>) -> Option<HeardView> {
    let standing = member.standing();
    let mut known = standing.topics.views().iter();
    let known = known.find(|heard| heard.view == *now.view && heard.asked <= now.asked);
    known.cloned()
}
