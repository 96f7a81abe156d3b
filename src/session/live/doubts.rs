//! Sessions that may have ended, as far as a response could be understood.
//!
//! Used by `follow`. Of several doubts about one session, one is resolved at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::ids::SessionDigest;
use crate::session::question::AuthSubject;

/// A session that may have ended, and what may have taken its place.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    pub(super) old: AuthSubject,
    pub(super) new: Option<AuthSubject>,
    pub(super) placed: bool,
    /// When the response came that names the new one; without one, that raises the doubt.
    pub(super) at: Instant,
}

/// Sessions that were just asked about, each with what came up since.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<HashMap<SessionDigest, Option<Doubt>>>);

impl Doubts {
    /// Records a doubt. Gives it back where it is to be resolved now, and [`Self::next`] called later.
    pub(super) fn begin(&self, session: SessionDigest, doubt: Doubt) -> Option<Doubt> {
        match self.lock().entry(session) {
            Entry::Vacant(first) => {
                first.insert(None);
                Some(doubt)
            }
            Entry::Occupied(mut waiting) => {
                let before = waiting.get_mut().take();
                waiting.insert(Some(match before {
                    Some(Doubt { new, at, .. }) if new.is_some() && doubt.new.is_none() => {
                        Doubt { new, at, ..doubt }
                    }
                    _ => doubt,
                }));
                None
            }
        }
    }

    /// What came up since; nothing: it is over.
    pub(super) fn next(&self, session: &SessionDigest) -> Option<Doubt> {
        let mut doubts = self.lock();
        let next = doubts.get_mut(session).and_then(Option::take);
        if next.is_none() {
            doubts.remove(session);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionDigest, Option<Doubt>>> {
        self.0.lock()
    }
}
