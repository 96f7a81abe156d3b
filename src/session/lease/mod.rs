//! Leases: answers that are relied upon for a while without asking Django again.
//!
//! The authority looks here before it asks, and keeps what it was answered; the edge grants what came
//! on an ordinary response. The hub is asked at each use whether a lease was revoked, so that a
//! revocation has nothing to do with leases.

pub(in crate::session) mod cache;
pub(in crate::session) mod entry;
pub(in crate::session) mod file;
pub(in crate::session) mod shard;
pub(in crate::session) mod terms;
pub(in crate::session) mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use parking_lot::{Mutex, MutexGuard};

use crate::hub::Hub;
use crate::ids::{DigestKey, SessionDigest, UserId};
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::cookie::{SessionAt, SessionCookies};
pub(in crate::session) use crate::session::lease::entry::Lease;
pub use crate::session::lease::entry::LeaseKey;
use crate::session::lease::entry::{SessionKey, Validity};
use crate::session::lease::shard::{LARGEST, Shard};
pub use crate::session::lease::terms::LeaseTerms;
use crate::setting::Setting;
use crate::web::hosts::canonical_authority;

/// Every page of a session may grant a lease, so the lock is split; a power of two.
const SHARDS: usize = 16;
/// The port of an origin that names none.
const HTTPS: u16 = 443;

/// What is known of a session.
#[derive(Clone, Debug)]
pub(in crate::session) enum Lookup {
    /// Enough to answer a handshake.
    Fresh(Arc<Lease>),
    /// Enough while Django cannot be reached.
    Stale(Arc<Lease>),
    /// Nothing.
    Miss,
}

/// All leases of this process.
#[derive(Debug)]
pub struct Leases {
    keys: ArcSwap<LeaseKeys>,
    terms: Setting<LeaseTerms>,
    hub: Arc<Hub>,
    /// Whether Django ever said something to a new connection.
    frames: AtomicBool,
    shards: Box<[Mutex<Shard>]>,
}

/// What is made of the secrets.
#[derive(Debug)]
struct LeaseKeys {
    lease: hmac::Key,
    digest: DigestKey,
    secrets: Secrets,
}

impl LeaseKeys {
    fn new(secrets: Secrets) -> Self {
        Self {
            lease: hmac::Key::new(hmac::HMAC_SHA256, secrets.current.expose()),
            digest: DigestKey::new(&secrets.current),
            secrets,
        }
    }
}

impl Leases {
    /// No leases yet. The hub must remember revocations for as long as [`LeaseTerms::longest`].
    pub fn new(terms: LeaseTerms, secrets: Secrets, hub: Arc<Hub>) -> Self {
        Self {
            keys: ArcSwap::from_pointee(LeaseKeys::new(secrets)),
            terms: Setting::new(terms),
            hub,
            frames: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
        }
    }

    /// Relies upon what Django says from now on by other terms, and knows sessions by other secrets. Where either changes,
    /// nothing that it said before counts: what was revoked since may be forgotten where the new terms are longer.
    pub fn adopt(&self, terms: LeaseTerms, secrets: &Secrets) {
        if self.terms() == terms && self.keys.load().secrets.are(secrets) {
            return;
        }
        self.terms.set(terms);
        self.keys.store(Arc::new(LeaseKeys::new(secrets.clone())));
        for shard in &self.shards {
            *shard.lock() = Shard::new();
        }
    }

    /// What names the session of these cookies, under the secret and the one before.
    pub fn digests(&self, cookies: &SessionCookies) -> Box<[SessionDigest]> {
        cookies.digests(&self.keys.load().secrets)
    }

    /// Relies upon what Django said of a session: on a page, or when it was asked again. `asked` is
    /// when the request went to Django; a newer answer is never replaced by an older one.
    pub fn grant(&self, session: SessionAt<'_>, answer: &Answer, asked: Instant) {
        let until = asked + self.terms().of(answer);
        self.store(session, answer, Validity { asked, until });
    }

    /// Relies upon what Django said when it was asked again, and not for what a new connection gets:
    /// where that ever was something, handshakes ask all the same.
    pub(in crate::session) fn confirm(
        &self,
        session: SessionAt<'_>,
        answer: &Answer,
        asked: Instant,
    ) {
        let silent = answer.lease.is_some() || answer.user.is_none() || !self.has_frames();
        let term = if silent {
            self.terms().of(answer)
        } else {
            Duration::ZERO
        };
        let until = asked + term;
        self.store(session, answer, Validity { asked, until });
    }

    /// Whether Django ever said something to a new connection.
    pub(in crate::session) fn has_frames(&self) -> bool {
        self.frames.load(Ordering::Relaxed)
    }

    /// Relies no more upon what Django said before `asked`.
    fn forget(&self, key: &LeaseKey, asked: Instant) {
        let mut shard = self.shard(key.session());
        if shard.get(key).is_some_and(|kept| kept.asked <= asked) {
            shard.remove(key);
        }
    }

    fn store(&self, session: SessionAt<'_>, answer: &Answer, valid: Validity) {
        if !answer.frames.is_empty() {
            self.frames.store(true, Ordering::Relaxed);
        }
        let frames = answer.lease.map(|_| answer.frames.clone().into());
        let lease = Lease {
            identity: answer.identity(self.digests(session.cookies)),
            frames: frames.unwrap_or_default(),
            listening: None,
            asked: valid.asked,
            until: valid.until,
        };
        if lease.weight() <= LARGEST {
            self.put(self.key(session), lease);
        }
    }

    /// What a lease of a session is kept under.
    pub fn key(&self, session: SessionAt<'_>) -> LeaseKey {
        let keys = self.keys.load();
        let mut context = hmac::Context::with_key(&keys.lease);
        context.update(b"gatepost-lease\n");
        let host = session.host.to_str().unwrap_or_default();
        context.update(canonical_authority(host, HTTPS).as_bytes());
        // No field value has a line feed, so host and cookies cannot be told in two ways.
        context.update(b"\n");
        context.update(session.cookies.header().as_bytes());
        let way = context.sign();
        let digest = keys.digest.of(session.cookies.session());
        let mut key = [0; 32];
        key[..16].copy_from_slice(&digest.first_half());
        key[16..].copy_from_slice(&way.as_ref()[..16]);
        LeaseKey(key)
    }

    /// Whether a lease with a user is known of a session, however it is shown.
    pub(in crate::session) fn knows(&self, session: &SessionDigest) -> bool {
        let session = session.first_half();
        self.shard(session).knows(&session)
    }

    /// Relies upon nothing that is known of a session after this end.
    pub(in crate::session) fn shorten(&self, session: &SessionDigest, end: SystemTime) {
        // What is kept is over before a later one, anyway.
        if end < SystemTime::now() + self.terms().longest() {
            let session = session.first_half();
            self.shard(session).shorten(&session, end);
        }
    }

    /// Whether Django named the user of a session, however it is shown, and nothing has happened to it since.
    pub(in crate::session) fn names(&self, session: &SessionDigest) -> bool {
        let session = session.first_half();
        let (shard, now) = (self.shard(session), Instant::now());
        let is_good = |lease: &Arc<Lease>| {
            !lease.is_over(now, self.terms().grace) && !self.is_revoked_by_name(lease)
        };
        shard.of_session(&session).any(is_good)
    }

    /// Keeps a lease, unless a newer one is there.
    pub(in crate::session) fn put(&self, key: LeaseKey, lease: Lease) {
        let mut shard = self.shard(key.session());
        if shard.get(&key).is_some_and(|kept| kept.asked > lease.asked) {
            return;
        }
        let (now, grace) = (Instant::now(), self.terms().grace);
        shard.put(key, Arc::new(lease), |old| old.is_over(now, grace));
    }

    /// What is known of a session. What was revoked since, or has expired, is forgotten.
    pub(in crate::session) fn find(&self, key: &LeaseKey) -> Lookup {
        let mut shard = self.shard(key.session());
        let now = Instant::now();
        let Some(lease) = shard.get(key).cloned() else {
            return Lookup::Miss;
        };
        if lease.is_over(now, self.terms().grace) || self.is_revoked(&lease) {
            shard.remove(key);
            return Lookup::Miss;
        }
        if now < lease.until {
            Lookup::Fresh(lease)
        } else {
            Lookup::Stale(lease)
        }
    }

    /// Whose session this is, where a lease says so.
    pub(in crate::session) fn user_of(&self, session: SessionAt<'_>) -> Option<UserId> {
        match self.find(&self.key(session)) {
            Lookup::Fresh(lease) | Lookup::Stale(lease) => {
                Some(lease.identity.as_ref()?.user.clone())
            }
            Lookup::Miss => None,
        }
    }

    /// Every lease with a user that would still admit it, and that `fits`.
    pub(in crate::session) fn living(
        &self,
        fits: impl Fn(&Lease) -> bool,
    ) -> Vec<(LeaseKey, Arc<Lease>)> {
        let now = Instant::now();
        let mut living = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let leases = shard.iter();
            living.extend(leases.map(|(key, lease)| (key, Arc::clone(lease))));
        }
        living.retain(|(_, lease)| !lease.is_over(now, self.terms().grace) && fits(lease));
        living
    }

    /// The terms that leases are kept by.
    pub(in crate::session) fn terms(&self) -> LeaseTerms {
        self.terms.get()
    }

    /// As [`Leases::is_revoked`], but for what concerns everyone, as the gateway's going away does.
    pub(in crate::session) fn is_revoked_by_name(&self, lease: &Lease) -> bool {
        let identity = lease.identity.as_ref();
        identity.is_some_and(|identity| self.hub.revoked_by_name(identity, lease.asked))
    }

    pub(in crate::session) fn is_revoked(&self, lease: &Lease) -> bool {
        let identity = lease.identity.as_ref();
        identity.is_some_and(|identity| self.hub.revoked(identity, lease.asked).is_some())
            || lease.listening.as_ref().is_some_and(|listening| {
                let nobody = UserId::new("");
                let user = identity.map_or(&nobody, |identity| &identity.user);
                self.hub.revoked_since(&listening.topics, user, lease.asked)
            })
    }

    fn shard(&self, session: SessionKey) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(session[0]) % SHARDS];
        // A cache is whole even if some user of it panicked.
        shard.lock()
    }
}
