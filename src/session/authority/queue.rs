//! The questions that wait for their turn, and which of them is next.
//!
//! Kept by `scheduler` under one lock. A flight that no handshake waits for any more stays until its turn
//! comes, or until so many wait that it is worth looking at all: leaving costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::session::ask::batch_view::LARGEST_REQUEST;
use crate::session::authority::backoff::Backoff;
use crate::session::authority::batcher::{Batcher, Departure, MOST};
use crate::session::authority::single_flight::SingleFlight;
use crate::session::lease::LeaseKey;

#[derive(Debug)]
pub(in crate::session) struct Queue {
    /// Every question that has no answer yet.
    pub(in crate::session) flights: HashMap<LeaseKey, Arc<SingleFlight>>,
    /// Those that wait for their turn, in order.
    pub(in crate::session) waiting: VecDeque<Arc<SingleFlight>>,
    /// Those that a batch left out, which go first and by themselves.
    pub(in crate::session) alone: VecDeque<Arc<SingleFlight>>,
    pub(in crate::session) under_way: usize,
    batcher: Batcher,
    pub(in crate::session) backoff: Backoff,
    over: bool,
    /// How many may wait before it is looked again.
    look: usize,
}

/// How many may wait before those that have left are looked for the first time.
const FEW: usize = 256;

/// What the task does next.
pub(in crate::session) enum NextStep {
    Call(Vec<Arc<SingleFlight>>),
    WaitUntil(Instant),
    Idle,
}

impl Queue {
    /// Nobody waits yet.
    pub(in crate::session) fn new(patience: Duration) -> Self {
        Self {
            flights: HashMap::new(),
            waiting: VecDeque::new(),
            alone: VecDeque::new(),
            under_way: 0,
            batcher: Batcher::new(patience, Instant::now()),
            backoff: Backoff::default(),
            over: false,
            look: FEW,
        }
    }

    /// A handshake that is not accepted after `patience` should be answered by then.
    pub(in crate::session) fn adopt(&mut self, patience: Duration) {
        self.batcher.adopt(patience);
    }

    /// One more question. What waits stays within twice those that somebody waits for.
    pub(in crate::session) fn open(&mut self, flight: Arc<SingleFlight>) {
        if self.waiting.len() >= self.look {
            for flight in std::mem::take(&mut self.waiting) {
                if flight.is_abandoned() {
                    self.forget(&flight);
                } else {
                    self.waiting.push_back(flight);
                }
            }
            self.look = FEW.max(2 * self.waiting.len());
        }
        self.flights.insert(flight.key, Arc::clone(&flight));
        self.waiting.push_back(flight);
    }

    /// Lets go of all that waits, and takes nothing more.
    pub(in crate::session) fn end(&mut self) {
        self.over = true;
        self.waiting.clear();
        self.alone.clear();
        self.flights.clear();
    }

    /// What is asked next.
    pub(in crate::session) fn next(
        &mut self,
        now: Instant,
        concurrency: usize,
        together: bool,
    ) -> NextStep {
        self.drop_abandoned();
        if self.is_calm() {
            return NextStep::Idle;
        }
        if let Some(next) = self.backoff.next() {
            // One call finds out whether Django is back.
            return match self.under_way {
                0 if next <= now => self.one(),
                0 => NextStep::WaitUntil(next),
                _ => NextStep::Idle,
            };
        }
        if self.under_way >= concurrency {
            return NextStep::Idle;
        }
        if !together || !self.alone.is_empty() {
            return self.one();
        }
        match self.batcher.next(self.waiting.len(), now) {
            Departure::One => self.one(),
            Departure::Batch => NextStep::Call(self.batch()),
            Departure::Collect(until) => NextStep::WaitUntil(until),
        }
    }

    /// Whether the first who waits wants to hear of a view.
    pub(in crate::session) fn is_next_of_view(&self) -> bool {
        self.waiting
            .front()
            .is_some_and(|flight| flight.is_of_view())
    }

    /// Whether no handshake waits for its turn.
    pub(in crate::session) fn is_calm(&self) -> bool {
        self.waiting.is_empty() && self.alone.is_empty()
    }

    /// Whether nothing is asked any more.
    pub(in crate::session) fn is_over(&self) -> bool {
        self.over
    }

    fn one(&mut self) -> NextStep {
        let next = self.alone.pop_front().or_else(|| self.waiting.pop_front());
        NextStep::Call(next.into_iter().collect())
    }

    /// The first who waits, and others of its host and kind.
    fn batch(&mut self) -> Vec<Arc<SingleFlight>> {
        let mut batch: Vec<Arc<SingleFlight>> = Vec::new();
        let mut size = 0;
        let waiting = std::mem::take(&mut self.waiting);
        for flight in waiting {
            let length = flight.weight();
            let fits = batch.first().is_none_or(|first| {
                let same_host = first.question.about.host == flight.question.about.host;
                same_host
                    && first.is_of_view() == flight.is_of_view()
                    && batch.len() < MOST
                    && size + length <= LARGEST_REQUEST
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
    pub(in crate::session) fn forget(&mut self, flight: &Arc<SingleFlight>) {
        let known = self.flights.get(&flight.key);
        if known.is_some_and(|known| Arc::ptr_eq(known, flight)) {
            self.flights.remove(&flight.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::scripted::question;

    #[test]
    fn who_asks_and_leaves_again_and_again_fills_no_memory_and_nobody_loses_their_turn() {
        let mut state = Queue::new(Duration::from_secs(2));
        let (patient, _waits) = SingleFlight::open(LeaseKey([0xff; 32]), question("patient"));
        state.open(patient);
        for n in 0..100_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            let (flight, waits) = SingleFlight::open(LeaseKey(key), question("invented"));
            drop(waits);
            state.open(flight);
        }
        let most = 2 * FEW;
        assert!(state.waiting.len() <= most, "{}", state.waiting.len());
        assert!(state.flights.len() <= most, "{}", state.flights.len());
        let NextStep::Call(flights) = state.next(Instant::now(), 1, false) else {
            panic!("nobody is asked for")
        };
        assert_eq!(flights[0].key, LeaseKey([0xff; 32]));
    }
}
