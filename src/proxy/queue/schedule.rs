//! Who gets the next place.
//!
//! Kept by [`RequestQueue`](super::RequestQueue) behind its lock; knows no time and wakes no task, so that a test can
//! ask it anything. No place is ever kept free. The rules only say who is next where several wait.

use super::lines::Lines;
use super::requester::Requester;
use crate::config::QueueConfig;

/// One place in ten goes to those that are not known.
const TENTH: usize = 10;
/// One session has no more than this part of the places while others wait.
const QUARTER: usize = 4;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueBounds {
    /// Requests at the upstream.
    pub(super) places: usize,
    /// Requests that wait.
    pub(super) waiting: usize,
}

impl QueueBounds {
    /// Where the configuration says how many places there are.
    pub(super) fn of(config: &QueueConfig) -> Option<Self> {
        Some(Self {
            places: config.concurrency?,
            waiting: config.length,
        })
    }
}

/// Places, and who waits for them. `W` is how a waiter is told.
#[derive(Debug)]
pub(super) struct Schedule<W> {
    bounds: QueueBounds,
    known: Lines<W>,
    others: Lines<W>,
    next_ticket: u64,
    /// Places given to known requesters, while others waited, since one of those got a place.
    passed: usize,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Enqueued<W> {
    /// To leave with.
    pub(super) ticket: u64,
    /// The waiter that had to leave, since there was no room for both.
    pub(super) ousted: Option<W>,
}

/// There is no room for one more that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl<W> Schedule<W> {
    /// All places are free.
    pub(super) fn new(bounds: QueueBounds) -> Self {
        Self {
            bounds,
            known: Lines::new(),
            others: Lines::new(),
            next_ticket: 0,
            passed: 0,
        }
    }

    /// Keeps to other bounds; who has a place, or waits, stays.
    pub(super) fn adopt(&mut self, bounds: QueueBounds) {
        self.bounds = bounds;
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.bounds.places
    }

    /// How many requests have a place.
    pub(super) fn taken(&self) -> usize {
        self.known.taken() + self.others.taken()
    }

    /// How many wait: of those that are known, and others.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.known.waiting(), self.others.waiting())
    }

    /// Takes a place where one is free, which is only so where nobody waits.
    pub(super) fn try_take(&mut self, requester: Requester) -> bool {
        let is_free = self.taken() < self.bounds.places;
        if is_free {
            self.of(requester).take(requester);
        }
        is_free
    }

    /// Lets a request wait.
    pub(super) fn enqueue(
        &mut self,
        requester: Requester,
        waiter: W,
    ) -> Result<Enqueued<W>, QueueFull> {
        let ousted = if self.known.waiting() + self.others.waiting() < self.bounds.waiting {
            None
        } else {
            Some(self.make_room(requester).ok_or(QueueFull)?)
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.of(requester).enqueue(requester, ticket, waiter);
        Ok(Enqueued { ticket, ousted })
    }

    /// A waiter leaves. Returns whether it was still waiting.
    pub(super) fn leave(&mut self, requester: Requester, ticket: u64) -> bool {
        self.of(requester).remove(requester, ticket).is_some()
    }

    /// A place is free again.
    pub(super) fn give_back(&mut self, requester: Requester) {
        self.of(requester).give_back(requester);
    }

    /// Gives a free place to the next in turn. To be called until it gives none.
    pub(super) fn serve(&mut self) -> Option<(Requester, W)> {
        if self.taken() >= self.bounds.places {
            return None;
        }
        let requester = self.next()?;
        let waiter = self.of(requester).serve(requester)?;
        self.passed = match requester {
            Requester::Known(_) if self.others.waiting() > 0 => self.passed + 1,
            _ => 0,
        };
        Some((requester, waiter))
    }

    fn next(&self) -> Option<Requester> {
        if self.others_are_due() {
            return self.others.first();
        }
        let share = (self.bounds.places / QUARTER).max(1);
        let known = self.known.first_below(share).or_else(|| self.known.first());
        known.or_else(|| self.others.first())
    }

    /// Whether those that are not known come first for once. Where there are fewer than ten places they have none
    /// for good, but each tenth that is given away.
    fn others_are_due(&self) -> bool {
        let share = self.bounds.places / TENTH;
        let is_theirs = if share > 0 {
            self.others.taken() < share
        } else {
            self.others.taken() == 0 && self.passed >= TENTH - 1
        };
        self.others.waiting() > 0 && is_theirs
    }

    /// Takes one out that waits, for a request of this requester's: somebody who is not known, or one of a line
    /// that is longer than its own.
    fn make_room(&mut self, requester: Requester) -> Option<W> {
        if matches!(requester, Requester::Known(_)) && self.others.waiting() > 0 {
            return self.others.remove_newest();
        }
        let own = self.of(requester).waiting_of(requester);
        let lines = self.of(requester);
        if lines.longest() > own + 1 {
            return lines.remove_newest();
        }
        None
    }

    fn of(&mut self, requester: Requester) -> &mut Lines<W> {
        match requester {
            Requester::Known(_) => &mut self.known,
            Requester::Other(_) => &mut self.others,
        }
    }
}

#[cfg(test)]
mod tests;
