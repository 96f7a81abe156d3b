//! What asks Django again about live sessions: the authority, or a test's script.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use http::HeaderValue;

use crate::session::answer::Answer;
use crate::session::ask::batch::{TopicAnswer, TopicQuestion};
use crate::session::authority::Authority;
use crate::session::error::AuthError;
use crate::session::question::{AuthSubject, ViewSubject};

/// What one call to the batch view asks about at most.
const BATCH: usize = 500;
/// Where there is none, so many are asked about one by one before the next look at the pace.
const FEW: usize = 20;

/// What Django says, in the order of the sessions that it was asked about.
pub(in crate::session) type Answers<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Answer, AuthError>>> + Send + 'a>>;

/// Who may still listen, in the order of the topics that it was asked about.
pub(in crate::session) type TopicAnswers<'a> =
    Pin<Box<dyn Future<Output = Vec<TopicAnswer>> + Send + 'a>>;

/// Asks Django again about sessions.
pub trait Asker: Debug + Send + Sync {
    /// Asks who these sessions are, whatever leases say.
    fn recheck<'a>(&'a self, sessions: &'a [AuthSubject]) -> Answers<'a>;

    /// Asks views again who may listen.
    fn recheck_views<'a>(&'a self, views: &'a [ViewSubject]) -> Answers<'a>;

    /// Asks who may still listen to topics by tokens; the answers come in the order of the questions.
    fn recheck_topics<'a>(
        &'a self,
        host: &'a HeaderValue,
        topics: &'a [TopicQuestion],
    ) -> TopicAnswers<'a>;

    /// How many sessions it is asked about together when there is no hurry.
    fn at_once(&self) -> usize;
}

impl Asker for Authority {
    fn recheck<'a>(&'a self, sessions: &'a [AuthSubject]) -> Answers<'a> {
        Box::pin(self.recheck(sessions))
    }

    fn recheck_views<'a>(&'a self, views: &'a [ViewSubject]) -> Answers<'a> {
        Box::pin(self.recheck_views(views))
    }

    fn recheck_topics<'a>(
        &'a self,
        host: &'a HeaderValue,
        topics: &'a [TopicQuestion],
    ) -> TopicAnswers<'a> {
        Box::pin(self.recheck_topics(host, topics))
    }

    fn at_once(&self) -> usize {
        if self.has_batch() { BATCH } else { FEW }
    }
}
