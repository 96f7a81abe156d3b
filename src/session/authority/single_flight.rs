//! One question that is under way to Django, and those who wait for its answer.
//!
//! Made and ended by `scheduler`. A flight has no owner. It goes on as long as anything waits for it, even
//! when the handshake that began it has left, and is given up when the last one has.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use tokio::sync::watch;

use crate::session::answer::Answer;
use crate::session::error::AuthError;
use crate::session::lease::LeaseKey;
use crate::session::question::Question;

/// What the waiting handshakes hear.
#[derive(Clone, Debug)]
pub(in crate::session) enum FlightProgress {
    /// Nothing yet.
    Waiting,
    /// Django was asked and could not be reached; it is tried again.
    Failing,
    /// The end.
    Judged(Result<Arc<Judgement>, AuthError>),
}

/// What came back.
#[derive(Debug)]
pub(in crate::session) struct Judgement {
    pub(in crate::session) answer: Answer,
    /// `Set-Cookie` fields for the browser.
    pub(in crate::session) set_cookies: Vec<HeaderValue>,
    /// When Django was asked.
    pub(in crate::session) asked: Instant,
    /// Which handshake Django was told of.
    pub(in crate::session) target: Box<str>,
}

/// A question under way.
#[derive(Debug)]
pub(in crate::session) struct SingleFlight {
    pub(in crate::session) key: LeaseKey,
    pub(in crate::session) question: Question,
    pub(in crate::session) opened: Instant,
    progress: watch::Sender<FlightProgress>,
}

impl SingleFlight {
    /// A question that goes to Django when its turn comes, and the first handshake that waits for it.
    pub(in crate::session) fn open(
        key: LeaseKey,
        question: Question,
    ) -> (Arc<Self>, watch::Receiver<FlightProgress>) {
        let (progress, waits) = watch::channel(FlightProgress::Waiting);
        let flight = Self {
            key,
            question,
            opened: Instant::now(),
            progress,
        };
        (Arc::new(flight), waits)
    }

    /// Whether a view is asked who may listen.
    pub(in crate::session) fn is_of_view(&self) -> bool {
        self.question.view.is_some()
    }

    /// What it takes of a batch, in bytes.
    pub(in crate::session) fn weight(&self) -> usize {
        let Question { about, view, .. } = &self.question;
        let path = view.as_ref().map_or(0, |view| view.as_str().len());
        about.cookies.header().len() + path
    }

    /// One more who waits.
    pub(in crate::session) fn join(&self) -> watch::Receiver<FlightProgress> {
        self.progress.subscribe()
    }

    /// Tells everybody.
    pub(in crate::session) fn announce(&self, progress: FlightProgress) {
        self.progress.send_replace(progress);
    }

    /// Tells those that wait, and were not told yet, that it takes longer.
    pub(in crate::session) fn announce_failing(&self) {
        self.progress.send_if_modified(|progress| {
            let first = matches!(progress, FlightProgress::Waiting);
            if first {
                *progress = FlightProgress::Failing;
            }
            first
        });
    }

    /// Whether nobody waits any more.
    pub(in crate::session) fn is_abandoned(&self) -> bool {
        self.progress.receiver_count() == 0
    }

    /// Completes when nobody waits any more.
    pub(in crate::session) async fn abandoned(&self) {
        self.progress.closed().await;
    }
}
