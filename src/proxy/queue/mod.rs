//! Places at an upstream that can do only so much at once, and who waits for them: requests of sessions that
//! are known come first.
//!
//! Used by `forward` where there is a bound; [`Intercept`](super::intercept::Intercept) says whose a request is.
//! `schedule` decides who is next, among the `lines` of those that wait. A place is kept until the answer has ended,
//! also where its client has left, for the upstream still works on it; so places are counted by clones.

mod lines;
mod refusal;
mod requester;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use crate::config::QueueConfig;
use crate::setting::Setting;
use crate::telemetry::metrics::{KindLabel, Metrics, ReasonLabel};
pub use refusal::QueueRefusal;
pub use requester::Requester;
use schedule::{QueueBounds, Schedule};

/// Hands out places. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestQueue {
    shared: Arc<RequestQueueInner>,
}

#[derive(Debug)]
struct RequestQueueInner {
    timeout: Setting<Duration>,
    schedule: Mutex<Schedule<oneshot::Sender<QueueWord>>>,
    known: QueueMetrics,
    others: QueueMetrics,
}

/// What is counted of one kind of requesters.
#[derive(Debug)]
struct QueueMetrics {
    waiting: Gauge,
    timeouts: Counter,
    full: Counter,
    timed_out: Counter,
}

/// What a waiting request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueWord {
    /// It has a place.
    Served,
    /// Its room was needed for another.
    Ousted,
}

/// A place at the upstream, which is free again when all clones are dropped.
#[derive(Clone, Debug)]
pub struct QueuePlace(#[expect(dead_code, reason = "kept to be dropped")] Arc<TakenPlace>);

#[derive(Debug)]
struct TakenPlace {
    queue: RequestQueue,
    requester: Requester,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// How many places there are.
    pub places: usize,
    /// How many are taken.
    pub taken: usize,
    /// How many requests of sessions that are known wait.
    pub known: usize,
    /// How many others wait.
    pub anonymous: usize,
}

impl RequestQueue {
    /// Where the configuration says how many places there are: all are free.
    pub fn new(config: &QueueConfig, metrics: &Metrics) -> Option<Self> {
        let bounds = QueueBounds::of(config)?;
        Some(Self {
            shared: Arc::new(RequestQueueInner {
                timeout: Setting::new(config.timeout),
                schedule: Mutex::new(Schedule::new(bounds)),
                known: QueueMetrics::of("known", metrics),
                others: QueueMetrics::of("anonymous", metrics),
            }),
        })
    }

    /// Has other bounds from now on, if the configuration has any. Where there are fewer places than are taken, the
    /// next is given when enough are free.
    pub fn adopt(&self, config: &QueueConfig) {
        let Some(bounds) = QueueBounds::of(config) else {
            return;
        };
        self.shared.timeout.set(config.timeout);
        let mut schedule = self.shared.schedule.lock();
        schedule.adopt(bounds);
        serve(&mut schedule);
    }

    /// How things stand.
    pub fn status(&self) -> QueueStatus {
        let schedule = self.shared.schedule.lock();
        let (known, anonymous) = schedule.waiting();
        QueueStatus {
            places: schedule.places(),
            taken: schedule.taken(),
            known,
            anonymous,
        }
    }

    /// A place for a request, which may have to wait for it. Dropped, it waits no longer.
    pub(super) async fn place(&self, requester: Requester) -> Result<QueuePlace, QueueRefusal> {
        let Some(mut waiting) = self.enqueue(requester)? else {
            return Ok(self.taken(requester));
        };
        let timeout = self.shared.timeout.get();
        let word = tokio::time::timeout(timeout, &mut waiting.word).await;
        let metrics = self.metrics_of(requester);
        match word {
            Ok(Ok(QueueWord::Served)) => {
                waiting.is_over = true;
                Ok(self.taken(requester))
            }
            Ok(_) => {
                waiting.is_over = true;
                metrics.full.inc();
                Err(QueueRefusal::Full)
            }
            Err(_) => {
                metrics.timeouts.inc();
                metrics.timed_out.inc();
                Err(QueueRefusal::TimedOut(timeout))
            }
        }
    }

    /// Takes a place (`None`), or begins to wait.
    fn enqueue(&self, requester: Requester) -> Result<Option<QueuedRequest<'_>>, QueueRefusal> {
        let mut schedule = self.shared.schedule.lock();
        if schedule.try_take(requester) {
            return Ok(None);
        }
        let (tell, word) = oneshot::channel();
        let enqueued = schedule.enqueue(requester, tell);
        drop(schedule);
        let metrics = self.metrics_of(requester);
        let enqueued = enqueued.map_err(|_| {
            metrics.full.inc();
            QueueRefusal::Full
        })?;
        if let Some(ousted) = enqueued.ousted {
            // A request that left in this moment need not be told.
            let _ = ousted.send(QueueWord::Ousted);
        }
        metrics.waiting.inc();
        Ok(Some(QueuedRequest {
            queue: self,
            requester,
            ticket: enqueued.ticket,
            word,
            is_over: false,
        }))
    }

    fn give_back(&self, requester: Requester) {
        let mut schedule = self.shared.schedule.lock();
        schedule.give_back(requester);
        serve(&mut schedule);
    }

    fn taken(&self, requester: Requester) -> QueuePlace {
        let queue = self.clone();
        QueuePlace(Arc::new(TakenPlace { queue, requester }))
    }

    fn metrics_of(&self, requester: Requester) -> &QueueMetrics {
        match requester {
            Requester::Known(_) => &self.shared.known,
            Requester::Other(_) => &self.shared.others,
        }
    }
}

/// Gives all free places to who waits.
fn serve(schedule: &mut Schedule<oneshot::Sender<QueueWord>>) {
    while let Some((requester, waiter)) = schedule.serve() {
        // Waiters leave under the schedule's lock, so all that are served hear of it.
        if waiter.send(QueueWord::Served).is_err() {
            schedule.give_back(requester);
        }
    }
}

impl QueueMetrics {
    fn of(kind: &'static str, metrics: &Metrics) -> Self {
        let kind = KindLabel { kind };
        let refused = |reason| metrics.refused.get_or_create_owned(&ReasonLabel { reason });
        Self {
            waiting: metrics.queue_waiting.get_or_create_owned(&kind),
            timeouts: metrics.queue_timeouts.get_or_create_owned(&kind),
            full: refused("queue_full"),
            timed_out: refused("queue_timeout"),
        }
    }
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        self.queue.give_back(self.requester);
    }
}

/// A request that waits. Dropped, it waits no longer, and a place it was given unheard is given back.
struct QueuedRequest<'a> {
    queue: &'a RequestQueue,
    requester: Requester,
    ticket: u64,
    word: oneshot::Receiver<QueueWord>,
    is_over: bool,
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        self.queue.metrics_of(self.requester).waiting.dec();
        if self.is_over {
            return;
        }
        let waited = {
            let mut schedule = self.queue.shared.schedule.lock();
            schedule.leave(self.requester, self.ticket)
        };
        if !waited && self.word.try_recv() == Ok(QueueWord::Served) {
            self.queue.give_back(self.requester);
        }
    }
}

#[cfg(test)]
mod tests;
