//! The orderly end: one [`Drain`] counts and ends every task the gateway spawns.
//!
//! The composition root holds the [`Drain`]; everything that spawns holds a [`DrainWatch`]. The
//! surprise: hyper stops seeing a connection at the moment of upgrade, so sockets and tunnels are
//! spawned here as tasks of their own and are waited for like requests.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ends what was spawned through its watches.
#[derive(Debug, Default)]
pub struct Drain {
    watch: DrainWatch,
}

/// Spawns tasks and tells them when to end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DrainWatch {
    draining: CancellationToken,
    aborted: CancellationToken,
    tracker: TaskTracker,
}

impl Drain {
    /// A drain with nothing to wait for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for a part that spawns tasks.
    pub fn watch(&self) -> DrainWatch {
        self.watch.clone()
    }

    /// Tells every task to end, waits at most `timeout`, then aborts the rest.
    /// Returns how many had to be aborted.
    pub async fn drain(self, timeout: Duration) -> usize {
        let watch = self.watch;
        watch.draining.cancel();
        watch.tracker.close();
        if tokio::time::timeout(timeout, watch.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let left = watch.tracker.len();
        watch.aborted.cancel();
        watch.tracker.wait().await;
        left
    }
}

impl DrainWatch {
    /// Runs a task that the drain waits for and, at the deadline, aborts.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that spawns"
    )]
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let aborted = self.aborted.clone();
        let handle = tokio::spawn(self.tracker.track_future(async move {
            aborted.run_until_cancelled_owned(task).await;
        }));
        drop(handle);
    }

    /// Completes when the gateway has begun to end.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether the gateway has begun to end.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_in_time_is_waited_for() {
        let drain = Drain::new();
        let watch = drain.watch();
        drain.watch().spawn(async move { watch.draining().await });
        assert_eq!(drain.drain(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_is_aborted_and_counted() {
        let drain = Drain::new();
        drain.watch().spawn(std::future::pending());
        assert_eq!(drain.drain(Duration::from_secs(5)).await, 1);
    }
}
