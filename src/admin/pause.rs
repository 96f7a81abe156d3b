//! A pause: requests wait for a moment, while a database is migrated or a server is exchanged.
//!
//! `server` lets every request `Pause::pass` that a server behind the gateway would answer. It ends by itself, so
//! that nobody can forget it; and when the gateway ends, which waits for what is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::net::drain::DrainWatch;
use crate::telemetry::metrics::{Metrics, ReasonLabel};
use crate::web::problem::Problem;

/// Whether there is a pause, and until when.
#[derive(Debug)]
pub struct Pause {
    until: watch::Sender<Option<Instant>>,
    /// The same, for every request to look at.
    is_on: AtomicBool,
    paused: Gauge,
    waiting: Gauge,
    refused: Counter,
}

/// How requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseTerms {
    /// For how long at most.
    pub timeout: Duration,
    /// How many at once.
    pub most: usize,
}

/// A request that waits.
struct PausedRequest<'a>(&'a Gauge);

impl Pause {
    /// There is none.
    pub fn new(metrics: &Metrics) -> Self {
        let reason = "paused";
        Self {
            until: watch::Sender::new(None),
            is_on: AtomicBool::new(false),
            paused: metrics.paused.clone(),
            waiting: metrics.pause_waiting.clone(),
            refused: metrics.refused.get_or_create_owned(&ReasonLabel { reason }),
        }
    }

    /// Begins one that ends so long from now, whatever was ordered before.
    pub fn begin(&self, length: Duration) {
        tracing::warn!(?length, "paused: requests wait");
        self.set(Some(Instant::now() + length));
    }

    /// Ends it.
    pub fn end(&self) {
        if self.is_on() {
            tracing::warn!("the pause is over");
        }
        self.set(None);
    }

    fn set(&self, until: Option<Instant>) {
        self.until.send_modify(|current| {
            *current = until;
            self.is_on.store(until.is_some(), Ordering::Release);
            self.paused.set(until.is_some().into());
        });
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Ends each pause in time, until the gateway ends.
    pub async fn run(&self, drain: DrainWatch) {
        let mut until = self.until.subscribe();
        loop {
            let end = *until.borrow_and_update();
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = drain.draining() => return self.end(),
                // The sender is `self`.
                _ = until.changed() => {}
                () = over => self.end(),
            }
        }
    }

    /// Waits for the end of the pause, or says why not.
    pub(super) async fn pass(&self, terms: PauseTerms) -> Result<(), Problem> {
        let mut until = self.until.subscribe();
        let Some(_waiting) = PausedRequest::among(&self.waiting, terms.most) else {
            return Err(self.refusal());
        };
        let over = timeout(terms.timeout, until.wait_for(Option::is_none)).await;
        over.map(drop).map_err(|_| self.refusal())
    }

    fn refusal(&self) -> Problem {
        self.refused.inc();
        let left = self
            .until
            .borrow()
            .map_or(Duration::ZERO, |end| end - Instant::now());
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        let detail = "The site is paused for a moment.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "paused", detail)
            .with_hint("`gatepost resume` ends it; `django.queue_timeout` is how long a request waits, `django.queue` how many do")
            .retry_after(seconds.saturating_add(1))
    }
}

impl<'a> PausedRequest<'a> {
    /// One more among those that wait, if there is room for it.
    fn among(waiting: &'a Gauge, most: usize) -> Option<Self> {
        let one = Self(waiting);
        let before = waiting.inc();
        (usize::try_from(before).unwrap_or(0) < most).then_some(one)
    }
}

impl Drop for PausedRequest<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::net::drain::Drain;

    const TERMS: PauseTerms = PauseTerms {
        timeout: Duration::from_secs(10),
        most: 2,
    };

    fn started(drain: &Drain) -> Arc<Pause> {
        let pause = Arc::new(Pause::new(&Metrics::default()));
        let (running, watch) = (Arc::clone(&pause), drain.watch());
        drain.watch().spawn(async move { running.run(watch).await });
        pause
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_until_it_is_ended() {
        let drain = Drain::new();
        let pause = started(&drain);
        pause.begin(Duration::from_mins(1));
        let mut waits = Box::pin(pause.pass(TERMS));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(pause.waiting.get(), 1);
        pause.end();
        assert_eq!(waits.await, Ok(()));
        assert_eq!((pause.waiting.get(), pause.paused.get()), (0, 0));
        drain.drain(Duration::ZERO).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_and_the_last_word_about_when_counts() {
        let drain = Drain::new();
        let pause = started(&drain);
        let begun = Instant::now();
        pause.begin(Duration::from_mins(1));
        pause.begin(Duration::from_secs(3));
        assert_eq!(pause.pass(TERMS).await, Ok(()));
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert!(!pause.is_on());
        drain.drain(Duration::ZERO).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_too_long_or_in_too_great_a_number_is_refused() {
        let drain = Drain::new();
        let pause = started(&drain);
        pause.begin(Duration::from_mins(1));
        let begun = Instant::now();
        let all = join_all((0..3).map(|_| pause.pass(TERMS))).await;
        assert_eq!(begun.elapsed().as_secs(), 10);
        let after: Vec<_> = all
            .into_iter()
            .map(|one| one.unwrap_err().retry_after.unwrap())
            .collect();
        assert!(after[..2].iter().all(|seconds| (50..=51).contains(seconds)));
        assert_eq!(after[2], 61);
        assert_eq!((pause.refused.get(), pause.waiting.get()), (3, 0));
        drain.drain(Duration::ZERO).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_gateway_lets_all_go_on() {
        let drain = Drain::new();
        let pause = started(&drain);
        pause.begin(Duration::from_mins(1));
        let (passed, _) = tokio::join!(pause.pass(TERMS), drain.drain(Duration::from_secs(5)));
        assert_eq!(passed, Ok(()));
    }
}
