//! Asks again for sessions that are connected: in batches, and only when no handshake waits.
//!
//! Called by `live`, through the authority. Nothing is tried twice here. While Django is away each
//! session gets that for an answer at once, and its keeper decides how long it may go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use http::HeaderValue;

use crate::session::answer::Answer;
use crate::session::ask::auth_view::AuthCall;
use crate::session::ask::batch::{
    AskedTogether, BatchItem, BatchKind, Frames, Together, TopicAnswer, TopicQuestion,
};
use crate::session::ask::batch_view::{Batched, LARGEST_REQUEST};
use crate::session::authority::batcher::MOST;
use crate::session::authority::scheduler::{CallPermit, Scheduler};
use crate::session::error::AuthError;
use crate::session::lease::views::ViewWord;
use crate::session::question::{AuthSubject, ViewSubject};

/// Handshakes go first for this long; then a re-check takes the next turn all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the handshakes have come to an end.
const LOOK: Duration = Duration::from_millis(200);

type Rechecked = Result<Answer, AuthError>;

/// How often is asked again what a batch had no time for.
const ROUNDS: usize = 20;

impl Scheduler {
    /// Asks again who these sessions are; the answers come in their order.
    pub(in crate::session) async fn recheck(
        self: &Arc<Self>,
        sessions: &[AuthSubject],
    ) -> Vec<Rechecked> {
        let asked = sessions.iter().map(|about| AskedTogether {
            about,
            view: None,
            trace: None,
        });
        let asked: Vec<_> = asked.collect();
        self.recheck_each(&asked, BatchKind::Sessions).await
    }

    /// Asks views again who may listen; the answers come in their order.
    pub(in crate::session) async fn recheck_views(
        self: &Arc<Self>,
        views: &[ViewSubject],
    ) -> Vec<Rechecked> {
        let asked = views
            .iter()
            .map(|ViewSubject { about, view }| AskedTogether {
                about,
                view: Some(view),
                trace: None,
            });
        let asked: Vec<_> = asked.collect();
        self.recheck_each(&asked, BatchKind::Views).await
    }

    /// Asks who may still listen to topics by tokens, up to [`MOST`] at once. Where nobody says, nobody
    /// knows.
    pub(in crate::session) async fn recheck_topics(
        self: &Arc<Self>,
        host: &HeaderValue,
        topics: &[TopicQuestion],
    ) -> Vec<TopicAnswer> {
        let mut said = Vec::with_capacity(topics.len());
        for topics in topics.chunks(MOST) {
            let answers = if self.client().has_batch(BatchKind::Views) {
                self.recheck_topics_once(host, topics).await
            } else {
                None
            };
            said.extend(answers.unwrap_or_else(|| vec![TopicAnswer::Unknown; topics.len()]));
        }
        said
    }

    async fn recheck_topics_once(
        self: &Arc<Self>,
        host: &HeaderValue,
        topics: &[TopicQuestion],
    ) -> Option<Vec<TopicAnswer>> {
        let turn = self.low_turn().await.ok()?;
        let began = Instant::now();
        let batched = self.client().ask_topics(host, topics).await;
        self.record(batched.as_ref().err(), began);
        drop(turn);
        match batched {
            Ok(Batched::Answers(answers)) => Some(answers),
            Ok(Batched::NotOffered) | Err(_) => None,
        }
    }

    async fn recheck_each(
        self: &Arc<Self>,
        asked: &[AskedTogether<'_>],
        kind: BatchKind,
    ) -> Vec<Rechecked> {
        let mut judged: Vec<Option<Rechecked>> = asked.iter().map(|_| None).collect();
        for mut batch in batches(asked) {
            for _round in 0..ROUNDS {
                if batch.is_empty() || !self.client().has_batch(kind) {
                    break;
                }
                let together = batch.iter().map(|index| asked[*index]).collect();
                let mut later = Vec::new();
                for (index, said) in batch
                    .iter()
                    .zip(self.recheck_together(together, kind).await)
                {
                    match said {
                        Some(rechecked) => judged[*index] = Some(rechecked),
                        None => later.push(*index),
                    }
                }
                let is_getting_on = later.len() < batch.len();
                batch = later;
                if !is_getting_on {
                    break;
                }
            }
        }
        let left = (0..asked.len()).filter(|index| judged[*index].is_none());
        let left: Vec<_> = left.collect();
        let at_once = (self.terms().concurrency / 2).max(1);
        let alone = left
            .into_iter()
            .map(|index| async move { (index, self.recheck_one(asked[index]).await) });
        let mut alone = stream::iter(alone).buffer_unordered(at_once);
        while let Some((index, answer)) = alone.next().await {
            judged[index] = Some(answer);
        }
        drop(alone);
        // Each index was either in a batch or asked by itself.
        judged.into_iter().flatten().collect()
    }

    async fn recheck_together(
        self: &Arc<Self>,
        asked: Vec<AskedTogether<'_>>,
        kind: BatchKind,
    ) -> Vec<Option<Rechecked>> {
        let turn = match self.low_turn().await {
            Ok(turn) => turn,
            Err(error) => return asked.iter().map(|_| Some(Err(error.clone()))).collect(),
        };
        let began = Instant::now();
        let frames = Frames::Unwanted;
        let question = Together {
            asked,
            kind,
            frames,
        };
        let batched = self.client().ask_together(&question).await;
        self.record(batched.as_ref().err(), began);
        drop(turn);
        let asked = question.asked.into_iter();
        match batched {
            Ok(Batched::Answers(items)) => asked
                .zip(items)
                .map(|(asked, item)| match item {
                    BatchItem::Answer(answer) => Some(Ok(self.confirm(asked, answer, began))),
                    BatchItem::Later | BatchItem::Alone => None,
                })
                .collect(),
            Ok(Batched::NotOffered) => asked.map(|_| None).collect(),
            Err(error) => asked.map(|_| Some(Err(error.clone()))).collect(),
        }
    }

    async fn recheck_one(self: &Arc<Self>, asked: AskedTogether<'_>) -> Rechecked {
        let turn = self.low_turn().await?;
        let began = Instant::now();
        let call = AuthCall {
            about: asked.about,
            handshake: None,
            request: None,
            trace: None,
            view: asked.view,
        };
        let answered = self.client().ask(call).await;
        let is_away = |error: &&AuthError| asked.view.is_none() || !error.is_failure();
        self.record(answered.as_ref().err().filter(is_away), began);
        drop(turn);
        answered.map(|answered| self.confirm(asked, answered.answer, began))
    }

    /// A view says who the session is, too; but a session that is asked about by itself has its own word.
    fn confirm(&self, asked: AskedTogether<'_>, answer: Answer, began: Instant) -> Answer {
        let session = asked.about.session();
        match asked.view {
            None => self.leases.confirm(session, &answer, began),
            Some(view) => {
                let said = ViewWord {
                    view,
                    answer: &answer,
                    asked: began,
                };
                self.leases.confirm_view(session, said);
            }
        }
        answer
    }

    fn record(&self, error: Option<&AuthError>, began: Instant) {
        let now = Instant::now();
        let backoff = &mut self.state().backoff;
        match error {
            Some(AuthError::Unreachable { .. }) => backoff.failed(began, now),
            _ => backoff.answered(now),
        }
    }

    /// A turn when no handshake wants one, or an error while Django is away.
    async fn low_turn(self: &Arc<Self>) -> Result<CallPermit, AuthError> {
        let patient = Instant::now() + LONGEST_WAIT;
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                let now = Instant::now();
                if state.is_over() {
                    return Err(self.client().unreachable("the gateway is shutting down"));
                }
                if state.backoff.next().is_some_and(|next| now < next) {
                    return Err(self
                        .client()
                        .unreachable("it could not be reached just now"));
                }
                let room = state.under_way < self.terms().concurrency;
                if room && (state.is_calm() || now >= patient) {
                    state.under_way += 1;
                    return Ok(CallPermit::counted(self));
                }
            }
            let _ = tokio::time::timeout(LOOK, freed).await;
        }
    }
}

/// Indices of what can be asked for together: of one host, and not too much.
fn batches(asked: &[AskedTogether<'_>]) -> Vec<Vec<usize>> {
    let mut by_host: HashMap<&HeaderValue, Vec<(Vec<usize>, usize)>> = HashMap::new();
    for (index, one) in asked.iter().enumerate() {
        let path = one.view.map_or(0, |view| view.as_str().len());
        let length = one.about.cookies.header().len() + path;
        let batches = by_host.entry(&one.about.host).or_default();
        match batches.last_mut() {
            Some((batch, size)) if batch.len() < MOST && *size + length <= LARGEST_REQUEST => {
                batch.push(index);
                *size += length;
            }
            _ => batches.push((vec![index], length)),
        }
    }
    let batches = by_host.into_values().flatten();
    batches.map(|(batch, _)| batch).collect()
}
