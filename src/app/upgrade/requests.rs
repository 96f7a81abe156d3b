//! Asking for a new program, and hearing that it has taken over.

use tokio::sync::{mpsc, watch};

/// Asks; held by who heeds signals.
#[derive(Clone, Debug)]
pub struct UpgradeHandle {
    requests: mpsc::Sender<()>,
    successor: watch::Receiver<Option<u32>>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct UpgradeRequests {
    requests: mpsc::Receiver<()>,
    successor: watch::Sender<Option<u32>>,
    handle: UpgradeHandle,
}

impl Default for UpgradeRequests {
    /// Nobody has asked yet.
    fn default() -> Self {
        let (sender, requests) = mpsc::channel(1);
        let (successor, receiver) = watch::channel(None);
        Self {
            requests,
            successor,
            handle: UpgradeHandle {
                requests: sender,
                successor: receiver,
            },
        }
    }
}

impl UpgradeRequests {
    /// What asks here.
    pub(crate) fn handle(&self) -> UpgradeHandle {
        self.handle.clone()
    }

    /// The next request.
    pub(crate) async fn next(&mut self) {
        if self.requests.recv().await.is_none() {
            // There is a handle here.
            std::future::pending::<()>().await;
        }
    }

    /// Says which process has taken over.
    pub(crate) fn taken_over(&self, by: u32) {
        self.successor.send_replace(Some(by));
    }
}

impl UpgradeHandle {
    /// Asks for one; what comes of it is in the log.
    pub fn request(&self) {
        if self.requests.try_send(()).is_err() {
            tracing::warn!("SIGUSR2 changes nothing: one is being heeded already");
        }
    }

    /// The process that has taken over; never where none does.
    pub async fn taken_over(&mut self) -> u32 {
        let successor = self.successor.wait_for(Option::is_some).await;
        match successor.ok().and_then(|successor| *successor) {
            Some(pid) => pid,
            None => std::future::pending().await,
        }
    }
}
