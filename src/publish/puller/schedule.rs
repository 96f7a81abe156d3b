//! When the puller asks again.
//!
//! After a wake it asks at once, but it rests at least as long as the last pull took, so that however
//! many commits there are, one gateway occupies one of Django's workers half of the time at most.

use std::time::Duration;

use tokio::time::Instant;

use super::super::wake::Wake;
use crate::net::backoff::ExponentialBackoff;
use crate::net::jitter::spread;

/// The rest after a pull.
const SHORTEST_REST: Duration = Duration::from_millis(5);
const LONGEST_REST: Duration = Duration::from_millis(500);
/// After a failure not even a wake makes it ask sooner.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const PAUSES: ExponentialBackoff = ExponentialBackoff {
    min: SHORTEST_PAUSE,
    max: Duration::from_secs(5),
    jitter: JITTER,
};
/// So that gateways that started together do not ask together.
const JITTER: f64 = 0.2;

/// Decides how long to wait.
#[derive(Debug)]
pub(super) struct PullSchedule {
    poll: Duration,
    began: Instant,
    failures: u32,
}

impl PullSchedule {
    pub(super) fn new(poll: Duration) -> Self {
        Self {
            poll,
            began: Instant::now(),
            failures: 0,
        }
    }

    /// A pull begins.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Everything was pulled: waits for the next wake or poll.
    pub(super) async fn rest(&mut self, wake: &Wake) {
        self.failures = 0;
        let rest = self.began.elapsed().clamp(SHORTEST_REST, LONGEST_REST);
        wait(rest, spread(self.poll, JITTER), wake).await;
    }

    /// The pull failed: waits twice as long each time.
    pub(super) async fn back_off(&mut self, wake: &Wake) {
        self.failures = self.failures.saturating_add(1);
        wait(SHORTEST_PAUSE, PAUSES.pause(self.failures), wake).await;
    }
}

/// Waits for `longest`, or for a wake, but for `shortest` in any case.
async fn wait(shortest: Duration, longest: Duration, wake: &Wake) {
    let end = Instant::now() + longest;
    tokio::time::sleep(shortest).await;
    tokio::select! {
        () = tokio::time::sleep_until(end) => {}
        () = wake.woken() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(2);

    async fn time_of(waiting: impl Future<Output = ()>) -> Duration {
        let start = Instant::now();
        waiting.await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wake_it_asks_about_every_poll() {
        let (mut pace, wake) = (PullSchedule::new(POLL), Wake::default());
        pace.begin();
        let time = time_of(pace.rest(&wake)).await;
        assert!(
            time >= POLL.mul_f64(0.8) && time <= POLL.mul_f64(1.21),
            "{time:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_that_came_during_the_pull_is_not_lost_and_rests_as_long_as_it_took() {
        let (mut pace, wake) = (PullSchedule::new(POLL), Wake::default());
        pace.begin();
        tokio::time::sleep(Duration::from_millis(80)).await;
        wake.wake();
        wake.wake();
        let time = time_of(pace.rest(&wake)).await;
        assert!(
            time >= Duration::from_millis(80) && time < Duration::from_millis(90),
            "{time:?}"
        );
        // Several wakes are one.
        assert!(time_of(pace.rest(&wake)).await > Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_make_it_slower_and_wakes_do_not_make_it_a_stampede() {
        let (mut pace, wake) = (PullSchedule::new(POLL), Wake::default());
        let first = time_of(pace.back_off(&wake)).await;
        let second = time_of(pace.back_off(&wake)).await;
        assert!(
            first >= SHORTEST_PAUSE && second > first,
            "{first:?} {second:?}"
        );
        for _ in 0..20 {
            assert!(time_of(pace.back_off(&wake)).await <= PAUSES.max.mul_f64(1.21));
        }
        wake.wake();
        assert!(time_of(pace.back_off(&wake)).await >= SHORTEST_PAUSE);
    }
}
