//! For how long answers are relied upon.

use std::time::Duration;

use crate::session::answer::Answer;

/// For how long answers are relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// `auth.lease`: where the answer does not say.
    pub lease: Duration,
    /// `auth.grace`: while Django cannot be reached. No lease is longer.
    pub grace: Duration,
}

impl LeaseTerms {
    /// The longest that anything is relied upon.
    pub fn longest(&self) -> Duration {
        self.lease.max(self.grace)
    }

    /// How long an answer is relied upon. One with frames only where it says so itself: unread counts
    /// of ten seconds ago are wrong.
    pub(in crate::session) fn of(&self, answer: &Answer) -> Duration {
        let default = if answer.frames.is_empty() {
            self.lease
        } else {
            Duration::ZERO
        };
        answer.lease.unwrap_or(default).min(self.longest())
    }
}
