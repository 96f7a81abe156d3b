//! The indexes of the hub: every connection by its id and by each audience it belongs to.
//!
//! Used by the hub alone. The surprise: an audience of one connection, which nearly every user and
//! session is, is kept without a map of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Member;
use crate::ids::ConnectionId;
use crate::publication::Audience;

/// Connects and disconnects write, so the lock is split; a power of two.
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Registry {
    hasher: RandomState,
    everyone: Vec<Mutex<HashMap<ConnectionId, Arc<Member>>>>,
    audiences: Vec<Mutex<HashMap<Audience, Members>>>,
    count: AtomicUsize,
}

/// The connections of one audience. Never empty.
#[derive(Debug)]
enum Members {
    One(Arc<Member>),
    Many(HashMap<ConnectionId, Arc<Member>>),
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            everyone: (0..SHARDS).map(|_| Mutex::default()).collect(),
            audiences: (0..SHARDS).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn insert(&self, member: &Arc<Member>) {
        for audience in audiences(member) {
            match self.audience_shard(&audience).entry(audience) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Members::One(Arc::clone(member)));
                }
                Entry::Occupied(mut occupied) => occupied.get_mut().insert(member),
            }
        }
        self.connection_shard(member.id)
            .insert(member.id, Arc::clone(member));
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, member: &Member) {
        for audience in audiences(member) {
            if let Entry::Occupied(mut occupied) = self.audience_shard(&audience).entry(audience)
                && occupied.get_mut().remove(member.id)
            {
                occupied.remove();
            }
        }
        if self
            .connection_shard(member.id)
            .remove(&member.id)
            .is_some()
        {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Calls `visit` for every connection of an audience, under the lock of its shard: `visit` must
    /// be short and must not come back to the registry.
    pub(super) fn each(&self, audience: &Audience, mut visit: impl FnMut(&Arc<Member>)) {
        match audience {
            Audience::Everyone => {
                for shard in &self.everyone {
                    lock(shard).values().for_each(&mut visit);
                }
            }
            Audience::Connection(id) => {
                if let Some(member) = self.connection_shard(*id).get(id) {
                    visit(member);
                }
            }
            _ => match self.audience_shard(audience).get(audience) {
                Some(Members::One(member)) => visit(member),
                Some(Members::Many(members)) => members.values().for_each(visit),
                None => {}
            },
        }
    }

    fn connection_shard(
        &self,
        id: ConnectionId,
    ) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Member>>> {
        lock(&self.everyone[self.shard(&id)])
    }

    fn audience_shard(&self, audience: &Audience) -> MutexGuard<'_, HashMap<Audience, Members>> {
        lock(&self.audiences[self.shard(audience)])
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the low bits choose the shard"
    )]
    fn shard(&self, key: &impl std::hash::Hash) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }
}

impl Members {
    fn insert(&mut self, member: &Arc<Member>) {
        match self {
            Self::One(first) => {
                let both = [Arc::clone(first), Arc::clone(member)];
                *self = Self::Many(both.into_iter().map(|member| (member.id, member)).collect());
            }
            Self::Many(members) => {
                members.insert(member.id, Arc::clone(member));
            }
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, id: ConnectionId) -> bool {
        match self {
            Self::One(member) => member.id == id,
            Self::Many(members) => {
                members.remove(&id);
                members.is_empty()
            }
        }
    }
}

/// Every audience that is kept for a connection, besides itself and everyone.
pub(super) fn audiences(member: &Member) -> impl Iterator<Item = Audience> {
    let identity = &member.identity;
    std::iter::once(Audience::User(identity.user.clone()))
        .chain(identity.groups.iter().cloned().map(Audience::Group))
        .chain(identity.sessions.iter().copied().map(Audience::Session))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole even if some visitor panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
