//! One question that is under way to Django, and those who wait for its answer.
//!
//! Made and ended by `asking`. The surprise: nobody owns a flight. It goes on as long as somebody waits,
//! whoever began it, and is given up when the last one has left.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use tokio::sync::watch;

use super::answer::Answer;
use super::error::AuthError;
use super::lease::LeaseKey;
use super::question::Question;

/// What those who wait are told.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// Nothing yet.
    Waiting,
    /// Django was asked and could not be reached; it is tried again.
    Failing,
    /// The end.
    Judged(Result<Arc<Judgement>, AuthError>),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) answer: Answer,
    /// `Set-Cookie` fields for the browser.
    pub(super) set_cookies: Vec<HeaderValue>,
    /// When Django was asked.
    pub(super) asked: Instant,
    /// Which handshake Django was told of.
    pub(super) target: Box<str>,
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) key: LeaseKey,
    pub(super) question: Question,
    pub(super) opened: Instant,
    told: watch::Sender<Progress>,
}

impl Flight {
    /// A question that goes to Django when its turn comes, and the first who waits for it.
    pub(super) fn open(
        key: LeaseKey,
        question: Question,
    ) -> (Arc<Self>, watch::Receiver<Progress>) {
        let (told, waits) = watch::channel(Progress::Waiting);
        let flight = Self {
            key,
            question,
            opened: Instant::now(),
            told,
        };
        (Arc::new(flight), waits)
    }

    /// One more who waits.
    pub(super) fn join(&self) -> watch::Receiver<Progress> {
        self.told.subscribe()
    }

    /// Tells everybody.
    pub(super) fn tell(&self, progress: Progress) {
        self.told.send_replace(progress);
    }

    /// Tells those who wait, and were not told yet, that it takes longer.
    pub(super) fn tell_failing(&self) {
        self.told.send_if_modified(|progress| {
            let first = matches!(progress, Progress::Waiting);
            if first {
                *progress = Progress::Failing;
            }
            first
        });
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.told.receiver_count() == 0
    }

    /// Completes when nobody waits any more.
    pub(super) async fn abandoned(&self) {
        self.told.closed().await;
    }
}
