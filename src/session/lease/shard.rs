//! One part of all leases: by session. A session has a few ways of being shown, and a user has a share.
//!
//! Used by `lease`. A session has more than one lease where further cookies matter, or more than one host;
//! but its client can make up as many of both as it likes. So what one session, or one user with many, has
//! kept never pushes out what is kept of others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::ids::UserId;
use crate::session::lease::cache::BoundedCache;
use crate::session::lease::entry::{Lease, LeaseKey, SessionKey};

/// Sessions with a user that are kept. Only Django can make them.
const MOST_SESSIONS: usize = 8192;
/// Leases without one. Any client can make them, which is why they have a cache of their own.
const MOST_NOBODIES: usize = 1024;
/// Answers of views. A browser may make up queries, which push out other such answers alone.
const MOST_VIEWS: usize = 1024;
/// Leases of one session; a further one takes the place of its oldest.
const MOST_WAYS: usize = 4;
/// Groups and frames of one session together, in bytes.
pub(in crate::session) const LARGEST: usize = 4096;
/// Leases of one user: a sixteenth of all. Beyond it Django is asked.
const MOST_OF_USER: usize = MOST_SESSIONS / 16;

/// Leases of some sessions.
#[derive(Debug)]
pub(in crate::session) struct Shard {
    users: BoundedCache<SessionKey, Vec<Way>>,
    nobodies: BoundedCache<LeaseKey, Arc<Lease>>,
    views: BoundedCache<LeaseKey, Arc<Lease>>,
    shares: Shares,
}

/// A lease of one way in which a session is shown.
#[derive(Clone, Debug)]
struct Way {
    key: LeaseKey,
    lease: Arc<Lease>,
    _share: Arc<()>,
}

/// What users have kept: each way of theirs keeps a clone.
#[derive(Debug, Default)]
struct Shares {
    by_user: HashMap<UserId, Arc<()>>,
    /// How many users there may be before those without a lease are looked for.
    look: usize,
}

impl Shard {
    /// Nothing is kept yet.
    pub(in crate::session) fn new() -> Self {
        Self {
            users: BoundedCache::new(MOST_SESSIONS),
            nobodies: BoundedCache::new(MOST_NOBODIES),
            views: BoundedCache::new(MOST_VIEWS),
            shares: Shares::default(),
        }
    }

    /// What is kept under a key.
    pub(in crate::session) fn get(&self, key: &LeaseKey) -> Option<&Arc<Lease>> {
        let ways = self.users.get(&key.session()).into_iter().flatten();
        let mut ways = ways.filter(|way| way.key == *key).map(|way| &way.lease);
        let others = || self.nobodies.get(key).or_else(|| self.views.get(key));
        ways.next().or_else(others)
    }

    /// Whether a user is known of a session.
    pub(in crate::session) fn knows(&self, session: &SessionKey) -> bool {
        self.users.get(session).is_some()
    }

    /// The leases of one session, all with a user.
    pub(in crate::session) fn of_session(
        &self,
        session: &SessionKey,
    ) -> impl Iterator<Item = &Arc<Lease>> {
        let ways = self.users.get(session).into_iter().flatten();
        ways.map(|way| &way.lease)
    }

    /// Every lease with a user.
    pub(in crate::session) fn iter(&self) -> impl Iterator<Item = (LeaseKey, &Arc<Lease>)> {
        let ways = self.users.iter().flat_map(|(_, ways)| ways);
        ways.map(|way| (way.key, &way.lease))
    }

    /// Forgets what is kept under a key.
    pub(in crate::session) fn remove(&mut self, key: &LeaseKey) {
        self.nobodies.remove(key);
        self.views.remove(key);
        if let Some(ways) = self.users.get_mut(&key.session()) {
            ways.retain(|way| way.key != *key);
            if ways.is_empty() {
                self.users.remove(&key.session());
            }
        }
    }

    /// Has the leases of a session end by then.
    pub(in crate::session) fn shorten(&mut self, session: &SessionKey, end: SystemTime) {
        for way in self.users.get_mut(session).into_iter().flatten() {
            let who = way.lease.identity.as_ref();
            if who.is_some_and(|who| who.expires_at.is_none_or(|old| end < old))
                && let Some(who) = &mut Arc::make_mut(&mut way.lease).identity
            {
                who.expires_at = Some(end);
            }
        }
    }

    /// Keeps a lease in place of what is kept under its key. `is_over` are those that may go first.
    pub(in crate::session) fn put(
        &mut self,
        key: LeaseKey,
        lease: Arc<Lease>,
        is_over: impl Fn(&Lease) -> bool,
    ) {
        self.remove(&key);
        if lease.listening.is_some() {
            return self.views.put(key, lease, |old| is_over(old));
        }
        let Some(identity) = &lease.identity else {
            return self.nobodies.put(key, lease, |old| is_over(old));
        };
        let Some(share) = self.shares.of(&identity.user) else {
            return;
        };
        let ways = self.users.get(&key.session()).into_iter().flatten();
        let mut ways: Vec<_> = ways.cloned().collect();
        let room = LARGEST.saturating_sub(lease.weight());
        while ways.len() >= MOST_WAYS || weight(&ways) > room && !ways.is_empty() {
            ways.remove(0);
        }
        ways.push(Way {
            key,
            lease,
            _share: share,
        });
        let are_over = |ways: &Vec<Way>| ways.iter().all(|way| is_over(&way.lease));
        self.users.put(key.session(), ways, are_over);
    }
}

fn weight(ways: &[Way]) -> usize {
    ways.iter().map(|way| way.lease.weight()).sum()
}

impl Shares {
    /// One more of a user's share; `None` where it is used up.
    fn of(&mut self, user: &UserId) -> Option<Arc<()>> {
        if let Some(share) = self.by_user.get(user) {
            return (Arc::strong_count(share) <= MOST_OF_USER).then(|| Arc::clone(share));
        }
        if self.by_user.len() >= self.look {
            self.by_user.retain(|_, share| Arc::strong_count(share) > 1);
            self.look = MOST_OF_USER.max(2 * self.by_user.len());
        }
        let share = Arc::new(());
        self.by_user.insert(user.clone(), Arc::clone(&share));
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ids::GroupName;
    use crate::session::tests::scripted::{answer, identity};

    fn key(session: u16, way: u16) -> LeaseKey {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&session.to_be_bytes());
        key[16..18].copy_from_slice(&way.to_be_bytes());
        LeaseKey(key)
    }

    fn lease(user: &str, group: usize) -> Arc<Lease> {
        let mut identity = identity("s", &answer(user));
        identity.groups = [GroupName::new(&"x".repeat(group))].into();
        let asked = Instant::now();
        Arc::new(Lease {
            identity: Some(identity),
            frames: Box::default(),
            listening: None,
            asked,
            until: asked + Duration::from_secs(10),
        })
    }

    fn kept(shard: &Shard, session: u16) -> Vec<u16> {
        let ways = 0..100;
        ways.filter(|way| shard.get(&key(session, *way)).is_some())
            .collect()
    }

    #[test]
    fn however_a_session_is_shown_it_pushes_out_nobody_else() {
        let mut shard = Shard::new();
        shard.put(key(1, 0), lease("1", 10), |_| false);
        for way in 0..100 {
            shard.put(key(2, way), lease("2", 10), |_| false);
        }
        assert_eq!(kept(&shard, 1), [0]);
        assert_eq!(kept(&shard, 2), [96, 97, 98, 99]);
        assert_eq!(shard.iter().count(), 5);
    }

    #[test]
    fn what_is_kept_of_a_session_has_a_bound_in_bytes() {
        let mut shard = Shard::new();
        for way in 0..4 {
            shard.put(key(1, way), lease("1", 1500), |_| false);
        }
        assert_eq!(kept(&shard, 1), [2, 3]);
    }

    #[test]
    fn a_user_with_many_sessions_fills_no_more_than_a_share() {
        let mut shard = Shard::new();
        shard.put(key(0, 0), lease("1", 10), |_| false);
        for session in 1..9000 {
            shard.put(key(session, 0), lease("2", 10), |_| false);
        }
        assert_eq!(kept(&shard, 0), [0]);
        assert_eq!(shard.iter().count(), 1 + MOST_OF_USER);
        // What is forgotten makes room again, and a newer answer takes the place of the older.
        shard.put(key(1, 0), lease("2", 20), |_| false);
        assert_eq!(kept(&shard, 1), [0]);
        shard.remove(&key(2, 0));
        shard.put(key(9000, 0), lease("2", 10), |_| false);
        assert_eq!(kept(&shard, 9000), [0]);
        assert_eq!(shard.iter().count(), 1 + MOST_OF_USER);
    }
}
