//! Asks again for sessions that are connected: in batches, and only when no handshake waits.
//!
//! Called by `live`, through the authority. The surprise: nothing is tried twice here.
//! While Django is away each session gets that for an answer at once, and its keeper decides how long
//! it may go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use http::HeaderValue;

use crate::session::answer::Answer;
use crate::session::ask::auth_view::AuthCall;
use crate::session::ask::batch_view::{Batched, Frames, LARGEST_REQUEST, Together};
use crate::session::authority::batcher::MOST;
use crate::session::authority::scheduler::{CallPermit, Scheduler};
use crate::session::error::AuthError;
use crate::session::question::AuthSubject;

/// Handshakes go first for this long; then a re-check takes the next turn all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the handshakes have come to an end.
const LOOK: Duration = Duration::from_millis(200);

type Rechecked = Result<Answer, AuthError>;

impl Scheduler {
    /// Asks again who these sessions are; the answers come in their order.
    pub(in crate::session) async fn recheck(
        self: &Arc<Self>,
        sessions: &[AuthSubject],
    ) -> Vec<Rechecked> {
        let mut judged: Vec<Option<Rechecked>> = sessions.iter().map(|_| None).collect();
        for batch in batches(sessions) {
            if !self.client.has_batch() {
                break;
            }
            let about: Vec<_> = batch.iter().map(|index| &sessions[*index]).collect();
            for (index, answer) in batch.iter().zip(self.recheck_together(&about).await) {
                judged[*index] = answer;
            }
        }
        let left: Vec<_> = (0..sessions.len())
            .filter(|i| judged[*i].is_none())
            .collect();
        let at_once = (self.terms.concurrency / 2).max(1);
        let alone = left
            .into_iter()
            .map(|index| async move { (index, self.recheck_one(&sessions[index]).await) });
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
        sessions: &[&AuthSubject],
    ) -> Vec<Option<Rechecked>> {
        let turn = match self.low_turn().await {
            Ok(turn) => turn,
            Err(error) => return sessions.iter().map(|_| Some(Err(error.clone()))).collect(),
        };
        let began = Instant::now();
        let question = Together {
            sessions: sessions.to_vec(),
            frames: Frames::Unwanted,
        };
        let batched = self.client.ask_together(&question).await;
        self.record(batched.as_ref().err(), began);
        drop(turn);
        match batched {
            Ok(Batched::Answers(answers)) => sessions
                .iter()
                .zip(answers)
                .map(|(about, answer)| answer.map(|answer| Ok(self.confirm(about, answer, began))))
                .collect(),
            Ok(Batched::NotOffered) => sessions.iter().map(|_| None).collect(),
            Err(error) => sessions.iter().map(|_| Some(Err(error.clone()))).collect(),
        }
    }

    async fn recheck_one(self: &Arc<Self>, about: &AuthSubject) -> Rechecked {
        let turn = self.low_turn().await?;
        let began = Instant::now();
        let call = AuthCall {
            about,
            handshake: None,
        };
        let answered = self.client.ask(call).await;
        self.record(answered.as_ref().err(), began);
        drop(turn);
        answered.map(|answered| self.confirm(about, answered.answer, began))
    }

    fn confirm(&self, about: &AuthSubject, answer: Answer, asked: Instant) -> Answer {
        self.leases.confirm(about.session(), &answer, asked);
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
                    return Err(self.client.unreachable("the gateway is shutting down"));
                }
                if state.backoff.next().is_some_and(|next| now < next) {
                    return Err(self.client.unreachable("it could not be reached just now"));
                }
                let room = state.under_way < self.terms.concurrency;
                if room && (state.is_calm() || now >= patient) {
                    state.under_way += 1;
                    return Ok(CallPermit::counted(self));
                }
            }
            let _ = tokio::time::timeout(LOOK, freed).await;
        }
    }
}

/// Indices of sessions that can be asked for together: of one host, and not too many.
fn batches(sessions: &[AuthSubject]) -> Vec<Vec<usize>> {
    let mut by_host: HashMap<&HeaderValue, Vec<(Vec<usize>, usize)>> = HashMap::new();
    for (index, about) in sessions.iter().enumerate() {
        let length = about.cookies.header().len();
        let batches = by_host.entry(&about.host).or_default();
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
