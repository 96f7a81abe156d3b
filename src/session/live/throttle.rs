//! At most one question a second about a user, however often one is asked for.
//!
//! Used by `rechecks`. A project may save its users with every request, and each save may ask for a
//! recheck. The first is made at once; those that come within a second of it are one more, at its end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::ids::UserId;

/// Between two questions about the same user.
pub(super) const SPACING: Duration = Duration::from_secs(1);

/// Callers that wait for a recheck to be done, to be told how many connections it closed.
pub(super) type Waiters = Vec<oneshot::Sender<usize>>;

/// The users that were asked about within the last second.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// With the callers that wait for the next one.
    recent: Mutex<HashMap<UserId, Waiters>>,
}

impl Throttle {
    /// Takes a wish. Gives it back where it is to be carried out now; then [`Self::next`] has to be asked
    /// a second after each that is done.
    pub(super) fn take(
        &self,
        user: &UserId,
        done: oneshot::Sender<usize>,
    ) -> Option<oneshot::Sender<usize>> {
        match self.recent.lock().entry(user.clone()) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(done);
                None
            }
            Entry::Vacant(first) => {
                first.insert(Vec::new());
                Some(done)
            }
        }
    }

    /// The wishes that came meanwhile; `None`: there are none, and the user may be asked about at once again.
    pub(super) fn next(&self, user: &UserId) -> Option<Waiters> {
        let mut recent = self.recent.lock();
        let waiters = std::mem::take(recent.get_mut(user)?);
        if waiters.is_empty() {
            recent.remove(user);
            return None;
        }
        Some(waiters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserId {
        UserId::new("1")
    }

    #[test]
    fn the_first_goes_at_once_and_those_behind_it_go_together() {
        let throttle = Throttle::default();
        let wish = || oneshot::channel::<usize>().0;
        assert!(throttle.take(&user(), wish()).is_some());
        assert!(throttle.take(&user(), wish()).is_none());
        assert!(throttle.take(&user(), wish()).is_none());
        assert_eq!(throttle.next(&user()).unwrap().len(), 2);
        assert!(throttle.take(&user(), wish()).is_none());
        assert_eq!(throttle.next(&user()).unwrap().len(), 1);
        assert!(throttle.next(&user()).is_none());
        assert!(throttle.take(&user(), wish()).is_some());
    }

    #[test]
    fn users_do_not_wait_for_each_other() {
        let throttle = Throttle::default();
        let other = UserId::new("2");
        assert!(throttle.take(&user(), oneshot::channel().0).is_some());
        assert!(throttle.take(&other, oneshot::channel().0).is_some());
        assert!(throttle.next(&other).is_none());
        assert!(throttle.take(&user(), oneshot::channel().0).is_none());
    }
}
