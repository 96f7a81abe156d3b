//! One lease, and what it is kept under.

use std::time::{Duration, Instant, SystemTime};

use crate::identity::Identity;
use crate::publication::Frame;
use crate::session::answer::GrantedTopics;

/// Keyed hashes of all that Django is sent to tell a session by: half of the session's digest, and half
/// of a hash of the host and the picked cookies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseKey(pub(in crate::session) [u8; 32]);

/// One answer that is relied upon.
#[derive(Clone, Debug)]
pub(in crate::session) struct Lease {
    /// Who it is; `None`: nobody is logged in.
    pub(in crate::session) identity: Option<Identity>,
    /// What a new connection gets first.
    pub(in crate::session) frames: Box<[Frame]>,
    /// What may be heard, where it is a view's answer.
    pub(in crate::session) listening: Option<GrantedTopics>,
    /// When Django was asked, so when this was certainly true.
    pub(in crate::session) asked: Instant,
    /// Until when Django is not asked again.
    pub(in crate::session) until: Instant,
}

/// What a session is kept under: the part of its leases' keys that they share.
pub(in crate::session) type SessionKey = [u8; 16];

/// When Django was asked for a lease, and until when it is relied upon without asking again.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Validity {
    /// So when it was certainly true.
    pub(in crate::session) asked: Instant,
    /// Then Django is asked again.
    pub(in crate::session) until: Instant,
}

impl LeaseKey {
    /// The part that all leases of a session share.
    pub(in crate::session) fn session(&self) -> SessionKey {
        let (halves, _) = self.0.as_chunks::<16>();
        halves[0]
    }
}

impl Lease {
    /// Its groups, frames and topics in bytes.
    pub(in crate::session) fn weight(&self) -> usize {
        let listening = self.listening.iter();
        let topics = listening.flat_map(|listening| &listening.topics);
        let topics = topics.map(|topic| topic.as_str().len() + 32);
        let groups = self.identity.iter().flat_map(|identity| &identity.groups);
        let groups = groups.map(|name| name.as_str().len() + 32);
        let frames = self.frames.iter().map(Frame::size);
        groups.chain(frames).chain(topics).sum()
    }

    /// Whether it is over for every use, even while Django cannot be reached.
    pub(in crate::session) fn is_over(&self, now: Instant, grace: Duration) -> bool {
        let expired = |end| end <= SystemTime::now();
        let listening = self.listening.as_ref();
        if listening.is_some_and(|listening| listening.expires.is_some_and(expired)) {
            return true;
        }
        let Some(identity) = &self.identity else {
            return self.until <= now;
        };
        self.until.max(self.asked + grace) <= now || identity.expires_at.is_some_and(expired)
    }
}

impl std::fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseKey(…)")
    }
}
