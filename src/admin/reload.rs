//! Asking for a reload: who asks holds a [`ReloadHandle`], the composition root has the [`ReloadRequests`].
//!
//! One at a time: who asks while one is under way waits for the next.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::publish::operator::ReloadRefusal;

/// More that ask at once are told to come later.
const WAITING: usize = 8;

type ReloadOutcome = Result<(), ReloadRefusal>;

/// Asks for reloads. Cheap to clone.
#[derive(Clone)]
pub struct ReloadHandle(mpsc::Sender<ReloadRequest>);

/// What was asked for.
#[derive(Debug)]
pub struct ReloadRequests {
    requests: mpsc::Receiver<ReloadRequest>,
    handle: ReloadHandle,
}

/// One that somebody may wait for.
#[derive(Debug)]
pub struct ReloadRequest(oneshot::Sender<ReloadOutcome>);

impl ReloadRequests {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        let (sender, requests) = mpsc::channel(WAITING);
        Self {
            requests,
            handle: ReloadHandle(sender),
        }
    }

    /// What asks here.
    pub fn handle(&self) -> ReloadHandle {
        self.handle.clone()
    }

    /// The next one.
    pub async fn next(&mut self) -> ReloadRequest {
        match self.requests.recv().await {
            Some(request) => request,
            // There is a handle here.
            None => std::future::pending().await,
        }
    }
}

impl Default for ReloadRequests {
    fn default() -> Self {
        Self::new()
    }
}

impl ReloadRequest {
    /// Tells who asked what came of it.
    pub fn answer(self, outcome: ReloadOutcome) {
        // A caller that does not wait reads the log.
        let _ = self.0.send(outcome);
    }
}

impl ReloadHandle {
    /// Asks for one, and does not wait for it.
    pub fn request(&self) {
        drop(self.ask());
    }

    /// Asks for one, and waits.
    pub async fn reload(&self) -> ReloadOutcome {
        let Some(outcome) = self.ask() else {
            return Err(ReloadRefusal::Busy);
        };
        outcome.await.unwrap_or(Err(ReloadRefusal::Ending))
    }

    fn ask(&self) -> Option<oneshot::Receiver<ReloadOutcome>> {
        let (tell, outcome) = oneshot::channel();
        self.0.try_send(ReloadRequest(tell)).ok()?;
        Some(outcome)
    }
}

impl fmt::Debug for ReloadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReloadHandle")
    }
}
