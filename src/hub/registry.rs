//! The indexes of the hub: every connection by its id and by each audience it belongs to.
//!
//! Used by the hub alone. The surprise: a crowd is visited in the order it came, in which its
//! sockets, tasks and buffers were allocated. In the order of a hash nearly every touch misses the
//! caches, and a broadcast costs a tenth more (docs/benchmarks.md).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::member::{JoinOrder, Member, audiences};
use super::presence::TopicPresence;
use super::subscriptions::Subscriptions;
use super::view_ends::{ViewEnd, ViewEnds};
use crate::identity::Identity;
use crate::ids::{ConnectionId, UserId};
use crate::publication::Audience;

/// Connects and disconnects write, so the lock is split; a power of two.
const SHARDS: usize = 64;
/// Connections that came one after the other and share a shard.
const RUN: u64 = 256;

#[derive(Debug)]
pub(super) struct Registry {
    hasher: RandomState,
    everyone: Vec<Mutex<BTreeMap<JoinOrder, Arc<Member>>>>,
    connections: Vec<Mutex<HashMap<ConnectionId, Arc<Member>>>>,
    audiences: Vec<Mutex<HashMap<Audience, AudienceMembers>>>,
    pub(super) presence: TopicPresence,
    /// When what views granted ends.
    pub(super) ends: ViewEnds,
    next: AtomicU64,
    count: AtomicUsize,
}

/// The connections of one audience, which nearly always is one. Never empty.
#[derive(Debug)]
enum AudienceMembers {
    One(JoinOrder, Arc<Member>),
    Many(BTreeMap<JoinOrder, Arc<Member>>),
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            everyone: (0..SHARDS).map(|_| Mutex::default()).collect(),
            connections: (0..SHARDS).map(|_| Mutex::default()).collect(),
            audiences: (0..SHARDS).map(|_| Mutex::default()).collect(),
            presence: TopicPresence::default(),
            ends: ViewEnds::default(),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds a connection to every index. Gives its place in the order in which all came.
    pub(super) fn insert(&self, member: &Arc<Member>) -> JoinOrder {
        let place = JoinOrder(self.next.fetch_add(1, Ordering::Relaxed));
        let mut standing = member.standing();
        standing.place = Some(place);
        for audience in audiences(&member.identity()) {
            self.add(audience, place, member);
        }
        self.connection_shard(member.id)
            .insert(member.id, Arc::clone(member));
        self.place_shard(place).insert(place, Arc::clone(member));
        self.count.fetch_add(1, Ordering::Relaxed);
        place
    }

    /// Takes a connection out of every index.
    pub(super) fn remove(&self, member: &Member) {
        let mut standing = member.standing();
        let Some(place) = standing.place.take() else {
            return;
        };
        self.ends
            .replace(&ends(member, &standing.topics), Vec::new());
        let topics = standing.topics.take().map(Audience::Topic);
        drop(standing);
        // Without a place it is not moved any more, so its identity stays what it is.
        for audience in audiences(&member.identity()).chain(topics) {
            self.take_out(&audience, place);
        }
        self.connection_shard(member.id).remove(&member.id);
        if self.place_shard(place).remove(&place).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives a connection another identity. An audience that is both the old and the new one's misses
    /// nothing meanwhile.
    pub(super) fn rebind(&self, member: &Arc<Member>, identity: &Arc<Identity>) {
        let mut standing = member.standing();
        let Some(place) = standing.place else {
            return;
        };
        let old = member.identity();
        if old.user != identity.user {
            // What was granted to one user is nothing to another.
            self.ends
                .replace(&ends(member, &standing.topics), Vec::new());
            for topic in standing.topics.take() {
                self.take_out(&Audience::Topic(topic), place);
            }
        }
        if old.user == identity.user
            && old.groups == identity.groups
            && old.sessions == identity.sessions
        {
            return member.set_identity(Arc::clone(identity));
        }
        let (left, joined): (HashSet<_>, HashSet<_>) =
            (audiences(&old).collect(), audiences(identity).collect());
        for audience in joined.difference(&left) {
            self.add(audience.clone(), place, member);
        }
        member.set_identity(Arc::clone(identity));
        for audience in left.difference(&joined) {
            self.take_out(audience, place);
        }
    }

    pub(super) fn add(&self, audience: Audience, place: JoinOrder, member: &Arc<Member>) {
        if let Audience::Topic(topic) = &audience
            && member.is_present
        {
            self.presence.join(topic, member);
        }
        match self.audience_shard(&audience).entry(audience) {
            Entry::Vacant(vacant) => {
                vacant.insert(AudienceMembers::One(place, Arc::clone(member)));
            }
            Entry::Occupied(mut occupied) => occupied.get_mut().insert(place, member),
        }
    }

    pub(super) fn take_out(&self, audience: &Audience, place: JoinOrder) {
        let mut shard = self.audience_shard(audience);
        let Some(members) = shard.get_mut(audience) else {
            return;
        };
        let gone = members.remove(place);
        if members.is_empty() {
            shard.remove(audience);
        }
        drop(shard);
        if let (Audience::Topic(topic), Some(gone)) = (audience, gone)
            && gone.is_present
        {
            self.presence.leave(topic, &gone);
        }
    }

    /// Calls `visit` for every connection of an audience, under the lock of its shard: `visit` must
    /// be short and must not come back to the registry.
    pub(super) fn each(&self, audience: &Audience, mut visit: impl FnMut(&Arc<Member>)) {
        match audience {
            Audience::Everyone => {
                for shard in &self.everyone {
                    shard.lock().values().for_each(&mut visit);
                }
            }
            Audience::Connection(id) => {
                if let Some(member) = self.connection_shard(*id).get(id) {
                    visit(member);
                }
            }
            _ => match self.audience_shard(audience).get(audience) {
                Some(AudienceMembers::One(_, member)) => visit(member),
                Some(AudienceMembers::Many(members)) => members.values().for_each(visit),
                None => {}
            },
        }
    }

    /// A connection.
    pub(super) fn find(&self, id: ConnectionId) -> Option<Arc<Member>> {
        self.connection_shard(id).get(&id).cloned()
    }

    /// How many connections a user, a group, a session or a topic has.
    pub(super) fn count(&self, audience: &Audience) -> usize {
        match self.audience_shard(audience).get(audience) {
            Some(AudienceMembers::One(..)) => 1,
            Some(AudienceMembers::Many(members)) => members.len(),
            None => 0,
        }
    }

    /// How many connections of a user came before the one at `place`.
    pub(super) fn of_user_before(&self, place: JoinOrder, user: &UserId) -> usize {
        let audience = Audience::User(user.clone());
        match self.audience_shard(&audience).get(&audience) {
            Some(AudienceMembers::Many(members)) => members.range(..place).count(),
            _ => 0,
        }
    }

    fn connection_shard(
        &self,
        id: ConnectionId,
    ) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Member>>> {
        self.connections[self.shard(&id)].lock()
    }

    fn place_shard(&self, place: JoinOrder) -> MutexGuard<'_, BTreeMap<JoinOrder, Arc<Member>>> {
        self.everyone[(place.0 / RUN) as usize % SHARDS].lock()
    }

    fn audience_shard(
        &self,
        audience: &Audience,
    ) -> MutexGuard<'_, HashMap<Audience, AudienceMembers>> {
        self.audiences[self.shard(audience)].lock()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the low bits choose the shard"
    )]
    fn shard(&self, key: &impl std::hash::Hash) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }
}

impl AudienceMembers {
    fn insert(&mut self, place: JoinOrder, member: &Arc<Member>) {
        match self {
            Self::One(first_place, first) => {
                let first = (*first_place, Arc::clone(first));
                *self = Self::Many([first, (place, Arc::clone(member))].into());
            }
            Self::Many(members) => {
                members.insert(place, Arc::clone(member));
            }
        }
    }

    /// Takes a connection out.
    fn remove(&mut self, place: JoinOrder) -> Option<Arc<Member>> {
        if let Self::One(only, _) = self
            && *only == place
            && let Self::One(_, member) = std::mem::replace(self, Self::Many(BTreeMap::new()))
        {
            return Some(member);
        }
        match self {
            Self::One(..) => None,
            Self::Many(members) => members.remove(&place),
        }
    }

    /// Whether nobody is left.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Many(members) if members.is_empty())
    }
}

/// When what a connection hears by views ends.
pub(super) fn ends(member: &Member, topics: &Subscriptions) -> Vec<ViewEnd> {
    let ends = topics.views().iter().filter_map(|heard| {
        Some(ViewEnd {
            at: heard.expires?,
            connection: member.id,
            view: heard.view.clone(),
        })
    });
    ends.collect()
}
