//! The questions that wait for their turn, and which of them is next.
//!
//! Kept by `asking` under one lock. The surprise: a flight that nobody waits for any more stays until its
//! turn comes, and is dropped then: leaving costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::LARGEST_REQUEST;
use super::flight::Flight;
use super::lease::LeaseKey;
use super::outage::Outage;
use super::pace::{MOST, Next, Pace};

#[derive(Debug)]
pub(super) struct State {
    /// Every question that has no answer yet.
    pub(super) flights: HashMap<LeaseKey, Arc<Flight>>,
    /// Those that wait for their turn, in order.
    pub(super) waiting: VecDeque<Arc<Flight>>,
    /// Those that a batch left out, which go first and by themselves.
    pub(super) alone: VecDeque<Arc<Flight>>,
    pub(super) under_way: usize,
    pace: Pace,
    pub(super) outage: Outage,
    over: bool,
}

/// What the task does next.
pub(super) enum Step {
    Call(Vec<Arc<Flight>>),
    WaitUntil(Instant),
    Idle,
}

impl State {
    /// Nobody waits yet.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            flights: HashMap::new(),
            waiting: VecDeque::new(),
            alone: VecDeque::new(),
            under_way: 0,
            pace: Pace::new(patience, Instant::now()),
            outage: Outage::default(),
            over: false,
        }
    }

    /// Lets go of all that waits, for good.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.waiting.clear();
        self.alone.clear();
        self.flights.clear();
    }

    /// What is asked next.
    pub(super) fn next(&mut self, now: Instant, concurrency: usize, together: bool) -> Step {
        self.drop_abandoned();
        if self.is_calm() {
            return Step::Idle;
        }
        if let Some(next) = self.outage.next() {
            // One call finds out whether Django is back.
            return match self.under_way {
                0 if next <= now => self.one(),
                0 => Step::WaitUntil(next),
                _ => Step::Idle,
            };
        }
        if self.under_way >= concurrency {
            return Step::Idle;
        }
        if !together || !self.alone.is_empty() {
            return self.one();
        }
        match self.pace.next(self.waiting.len(), now) {
            Next::One => self.one(),
            Next::Batch => Step::Call(self.batch()),
            Next::Collect(until) => Step::WaitUntil(until),
        }
    }

    /// Whether no handshake waits for its turn.
    pub(super) fn is_calm(&self) -> bool {
        self.waiting.is_empty() && self.alone.is_empty()
    }

    /// Whether nothing is asked any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn one(&mut self) -> Step {
        let next = self.alone.pop_front().or_else(|| self.waiting.pop_front());
        Step::Call(next.into_iter().collect())
    }

    /// The first who waits, and others of its host.
    fn batch(&mut self) -> Vec<Arc<Flight>> {
        let mut batch: Vec<Arc<Flight>> = Vec::new();
        let mut size = 0;
        let waiting = std::mem::take(&mut self.waiting);
        for flight in waiting {
            let about = &flight.question.about;
            let length = about.cookies.header().len();
            let fits = batch.first().is_none_or(|first| {
                let same_host = first.question.about.host == about.host;
                same_host && batch.len() < MOST && size + length <= LARGEST_REQUEST
            });
            if fits {
                size += length;
                batch.push(flight);
            } else {
                self.waiting.push_back(flight);
            }
        }
        batch
    }

    fn drop_abandoned(&mut self) {
        while let Some(first) = self.waiting.front()
            && first.is_abandoned()
            && let Some(flight) = self.waiting.pop_front()
        {
            self.forget(&flight);
        }
    }

    /// This question has no answer to wait for any more.
    pub(super) fn forget(&mut self, flight: &Arc<Flight>) {
        let known = self.flights.get(&flight.key);
        if known.is_some_and(|known| Arc::ptr_eq(known, flight)) {
            self.flights.remove(&flight.key);
        }
    }
}
