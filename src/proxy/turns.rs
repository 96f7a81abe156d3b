//! How many requests one upstream has to do with at once, and how many wait for their turn.
//!
//! Used by `upstream`. The surprise: a request that waits for an upstream to come back keeps its
//! turn, so this also bounds how many knock at a dead one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests under way at once; the rest wait.
const MOST_UNDER_WAY: usize = 512;
/// Requests that may wait.
const MOST_WAITING: usize = 1024;
/// How long a request waits.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Hands out turns.
#[derive(Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One request's turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// All turns are free.
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A turn, or `None` where too many wait or it takes too long.
    pub(super) async fn take(&self) -> Option<Turn> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Some(Turn { _permit: permit });
        }
        let _waiting = Waiting::enter(&self.waiting)?;
        let wait = tokio::time::timeout(TURN_LIMIT, self.free.clone().acquire_owned());
        let permit = wait.await.ok()?.ok()?;
        Some(Turn { _permit: permit })
    }
}

/// Counts those who wait, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let entered = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_bounded_and_waiting_ends() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..MOST_UNDER_WAY {
            taken.push(turns.take().await.unwrap());
        }
        assert!(turns.take().await.is_none(), "nobody gives a turn back");
        taken.pop();
        assert!(turns.take().await.is_some());
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }
}
