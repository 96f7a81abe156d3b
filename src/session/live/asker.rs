//! Whoever is asked again of live sessions: the authority, or a test's script.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::session::answer::Answer;
use crate::session::authority::Authority;
use crate::session::error::AuthError;
use crate::session::question::AuthSubject;

/// What one call to the batch view asks of at most.
const BATCH: usize = 500;
/// Where there is none, so many are asked of one by one before the next look at the pace.
const FEW: usize = 20;

/// What Django says, in the order of the sessions it was asked of.
pub(in crate::session) type Answers<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Answer, AuthError>>> + Send + 'a>>;

/// Asks Django again of sessions.
pub trait Asker: Debug + Send + Sync {
    /// Asks who these sessions are, whatever leases say.
    fn recheck<'a>(&'a self, sessions: &'a [AuthSubject]) -> Answers<'a>;

    /// Of how many sessions it is asked at once when nobody is in a hurry.
    fn at_once(&self) -> usize;
}

impl Asker for Authority {
    fn recheck<'a>(&'a self, sessions: &'a [AuthSubject]) -> Answers<'a> {
        Box::pin(self.recheck(sessions))
    }

    fn at_once(&self) -> usize {
        if self.has_batch() { BATCH } else { FEW }
    }
}
