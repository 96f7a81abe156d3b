//! Topics that Django has said a user may listen to no more, although a token grants them.
//!
//! Written when it was asked again, read when a connection subscribes. Nothing is lost where this is forgotten,
//! since what an older token grants then is asked about with the next re-validation.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use super::subscriptions::Granter;
use crate::ids::{TopicName, UserId};
use crate::unix_time;

/// Remembered at most, in some 10 MB.
const MOST: usize = 65_536;

/// When users ceased to be allowed to listen.
#[derive(Debug, Default)]
pub(super) struct DeniedTopics(Mutex<HashMap<(TopicName, UserId), Instant>>);

impl DeniedTopics {
    /// Django was asked at `asked`, and said no.
    pub(super) fn put(&self, topic: &TopicName, user: &UserId, asked: Instant) {
        let mut denied = self.0.lock();
        if denied.len() >= MOST {
            denied.clear();
        }
        denied.insert((topic.clone(), user.clone()), asked);
    }

    /// Whether a grant counts no more for a user: a token of their own that was issued before.
    pub(super) fn cover(&self, topic: &TopicName, user: &UserId, by: &Granter) -> bool {
        match by {
            Granter::Token {
                issued,
                is_public: false,
            } => {
                let denied = self.last(topic, user);
                denied.is_some_and(|denied| unix_time::instant(*issued) < Some(denied))
            }
            _ => false,
        }
    }

    /// When it said so last.
    pub(super) fn last(&self, topic: &TopicName, user: &UserId) -> Option<Instant> {
        let denied = self.0.lock();
        if denied.is_empty() {
            return None;
        }
        denied.get(&(topic.clone(), user.clone())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_what_is_kept_has_a_bound() {
        let denied = DeniedTopics::default();
        let (topic, user) = (TopicName::new("news").unwrap(), UserId::new("1"));
        assert_eq!(denied.last(&topic, &user), None);
        for _ in 0..2 {
            let asked = Instant::now();
            denied.put(&topic, &user, asked);
            assert_eq!(denied.last(&topic, &user), Some(asked));
        }
        assert_eq!(denied.last(&topic, &UserId::new("2")), None);
        for other in 0..MOST {
            denied.put(&topic, &UserId::new(&other.to_string()), Instant::now());
        }
        assert!(denied.0.lock().len() <= MOST);
    }
}
