//! The orderly end: one [`Drain`] counts and ends every task the gateway spawns.
//!
//! The composition root holds the [`Drain`]; everything that spawns holds a [`DrainWatch`]. The
//! surprise: hyper stops seeing a connection at the moment of upgrade, so sockets and tunnels are
//! spawned here as tasks of their own and are waited for like requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// Ends what was spawned through its watches.
#[derive(Debug, Default)]
pub struct Drain {
    watch: DrainWatch,
}

/// Spawns tasks and tells them when to end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DrainWatch {
    leaving: CancellationToken,
    draining: CancellationToken,
    aborted: CancellationToken,
    tracker: TaskTracker,
    begun: Arc<Begun>,
}

/// What has begun: read at every wake of every task, where the tokens' locks would be felt.
#[derive(Debug, Default)]
struct Begun {
    leaving: AtomicBool,
    draining: AtomicBool,
    aborting: AtomicBool,
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

    /// Has connections end with their next answer, and goes on otherwise: who has one to ask over shall not find it
    /// closed, and is served elsewhere when it connects anew.
    pub fn leave(&self) {
        self.watch.begun.leaving.store(true, Ordering::Release);
        self.watch.leaving.cancel();
    }

    /// Tells every task to end, waits at most `timeout`, then aborts the rest.
    /// Returns how many had to be aborted.
    pub async fn drain(self, timeout: Duration) -> usize {
        self.leave();
        let watch = self.watch;
        watch.begun.draining.store(true, Ordering::Release);
        watch.draining.cancel();
        watch.tracker.close();
        if tokio::time::timeout(timeout, watch.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let left = watch.tracker.len();
        watch.begun.aborting.store(true, Ordering::Release);
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
        drop(tokio::spawn(self.tracker.track_future(Abortable {
            task,
            aborted: self.aborted.clone().cancelled_owned(),
            begun: Arc::clone(&self.begun),
            enrolled: false,
        })));
    }

    /// Completes when connections are to end as soon as nobody minds.
    pub async fn leaving(&self) {
        self.leaving.cancelled().await;
    }

    /// Whether they are to.
    pub fn is_leaving(&self) -> bool {
        self.begun.leaving.load(Ordering::Acquire)
    }

    /// Completes when the gateway has begun to end.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether the gateway has begun to end.
    pub fn is_draining(&self) -> bool {
        self.begun.draining.load(Ordering::Acquire)
    }
}

pin_project! {
    /// A task that ends early where the drain has no more patience.
    struct Abortable<F> {
        #[pin]
        task: F,
        #[pin]
        aborted: WaitForCancellationFutureOwned,
        begun: Arc<Begun>,
        enrolled: bool,
    }
}

impl<F: Future<Output = ()>> Future for Abortable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // A spawned task keeps its waker, so enrolling it once is enough to be woken.
        if !*this.enrolled || this.begun.aborting.load(Ordering::Acquire) {
            *this.enrolled = true;
            if this.aborted.poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        this.task.poll(cx)
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
    async fn a_task_that_was_woken_before_is_aborted_all_the_same() {
        let drain = Drain::new();
        drain.watch().spawn(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::future::pending::<()>().await;
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        let watch = drain.watch();
        assert!(!watch.is_draining());
        assert_eq!(drain.drain(Duration::from_secs(5)).await, 1);
        assert!(watch.is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_is_aborted_and_counted() {
        let drain = Drain::new();
        drain.watch().spawn(std::future::pending());
        assert_eq!(drain.drain(Duration::from_secs(5)).await, 1);
    }
}
