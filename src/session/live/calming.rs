//! Which users were just asked about, and whether something has happened to them since.
//!
//! Used by `rechecks`. A page may write a signed session with every request, and each write may be a new
//! password: a user's sessions are asked about when it is calm, however many writes there were.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

use crate::ids::UserId;

/// The users that are asked about now or when it is calm.
#[derive(Debug, Default)]
pub(super) struct Calming {
    /// True: something has happened that the last question does not cover.
    users: Mutex<HashMap<UserId, bool>>,
}

impl Calming {
    /// Records that something has happened to a user. True for the first time: then [`Self::next`] has to
    /// be asked when it is calm, and again after each time that it says so. `covered` is whether the
    /// caller asks at once.
    pub(super) fn begin(&self, user: &UserId, covered: bool) -> bool {
        match self.users.lock().entry(user.clone()) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                false
            }
            Entry::Vacant(first) => {
                first.insert(!covered);
                true
            }
        }
    }

    /// Whether a user has to be asked about, now that it is calm; otherwise it is over.
    pub(super) fn next(&self, user: &UserId) -> bool {
        let mut users = self.users.lock();
        let again = users.get_mut(user).is_some_and(std::mem::take);
        if !again {
            users.remove(user);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_while_it_is_asked_is_asked_about_once_more() {
        let (calming, user) = (Calming::default(), UserId::new("1"));
        assert!(calming.begin(&user, true));
        assert!(!calming.next(&user), "nothing has happened since");
        assert!(calming.begin(&user, true));
        assert!(!calming.begin(&user, true));
        assert!(!calming.begin(&user, false));
        assert!(calming.next(&user));
        assert!(!calming.next(&user));
        assert!(calming.begin(&user, false));
        assert!(calming.next(&user), "nobody has asked yet");
    }
}
