//! The handle through which `cli` controls the [`Supervisor`].

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};

use super::exit::AppEnd;
use super::supervisor::{AppOrder, Reports, Supervisor};
use crate::net::drain::Drain;

/// How long the last lines of a server may take that has ended.
const LAST_LINES: Duration = Duration::from_secs(1);
/// More orders than that are not on their way.
const ORDERS: usize = 16;

/// What becomes of Django's server by itself.
#[derive(Debug)]
pub enum AppNews {
    /// It is up for the first time.
    Up,
    /// It is not started again.
    Ended(AppEnd),
}

/// Django's server, started.
#[derive(Debug)]
pub struct RunningApp {
    orders: mpsc::Sender<AppOrder>,
    up: Option<oneshot::Receiver<()>>,
    end: Option<oneshot::Receiver<AppEnd>>,
    drain: Drain,
}

impl RunningApp {
    /// Starts it.
    pub fn start(supervisor: Supervisor) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (said_up, up) = oneshot::channel();
        let (said_end, end) = oneshot::channel();
        let drain = Drain::new();
        let watch = drain.watch();
        drain.watch().spawn(async move {
            let reports = Reports {
                orders: inbox,
                up: Some(said_up),
            };
            // Without a receiver the gateway is ending at once.
            let _ = said_end.send(supervisor.run(reports, watch).await);
        });
        Self {
            orders,
            up: Some(up),
            end: Some(end),
            drain,
        }
    }

    /// What becomes of it by itself.
    pub async fn news(&mut self) -> AppNews {
        tokio::select! {
            () = said(&mut self.up) => AppNews::Up,
            end = said(&mut self.end) => AppNews::Ended(end),
        }
    }

    /// Hands down a signal that ends nothing.
    pub fn pass(&self, signal: Signal) {
        // One too many at once is one that was just passed on.
        let _ = self.orders.try_send(AppOrder::Pass(signal));
    }

    /// Ends it by this signal, and waits for the end.
    pub async fn stop(&mut self, signal: Signal) -> AppEnd {
        let _ = self.orders.send(AppOrder::Stop(signal)).await;
        said(&mut self.end).await
    }

    /// Ends it at once, if it still runs.
    pub async fn kill(&mut self) {
        let _ = self.orders.send(AppOrder::Kill).await;
        if self.end.is_some() {
            said(&mut self.end).await;
        }
    }

    /// Waits for what it printed last.
    pub async fn last_lines(self) {
        self.drain.drain(LAST_LINES).await;
    }
}

/// What is said here, once.
async fn said<T>(by: &mut Option<oneshot::Receiver<T>>) -> T {
    if let Some(receiver) = by {
        let word = receiver.await;
        // Asked again, a receiver that has ended would panic.
        *by = None;
        if let Ok(word) = word {
            return word;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_never_said_may_be_waited_for_again() {
        let (sender, receiver) = oneshot::channel::<()>();
        let mut by = Some(receiver);
        drop(sender);
        assert!(said(&mut by).now_or_never().is_none());
        assert!(said(&mut by).now_or_never().is_none());
    }
}
