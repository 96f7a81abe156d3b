//! What is known of a session that takes another one's place.

use tokio::time::Instant;

use crate::session::answer::Answer;
use crate::session::question::AuthSubject;

/// A session that takes another one's place.
#[derive(Debug)]
pub(in crate::session) struct Replacement {
    /// What Django is asked about from now on.
    pub(in crate::session) new: AuthSubject,
    /// What Django said of it on the way, where it did.
    pub(in crate::session) known: Option<Answer>,
    /// When the response came that brought it, which may be a while ago. What is asked about the new
    /// session is asked later; what was asked about the user's others before may be out of date.
    pub(in crate::session) at: Instant,
}

impl Replacement {
    /// One that Django has said nothing of.
    pub(in crate::session) fn unjudged(new: AuthSubject, at: Instant) -> Self {
        Self {
            new,
            known: None,
            at,
        }
    }
}
