//! The last publications of each audience, for clients that were away.
//!
//! Used by the broker under its lock. Bounded for each audience in number, and for all together in bytes and
//! age. The history must know exactly what it has lost, so it remembers the last publication of each audience that
//! is gone, also where nothing else of that audience is left.

mod audience_log;
mod marks;
mod snapshot;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use audience_log::AudienceLog;
use marks::Marks;
pub(super) use snapshot::HistorySnapshot;

use super::kept::{HistoryMark, Kept, KnownUpTo};
use crate::ids::{TopicName, UserId};
use crate::publication::Audience;
use crate::telemetry::metrics::HistoryMetrics;

/// What a publication costs besides its bytes.
const ITEM: usize = 300;
/// What it costs for each audience that it is kept for.
const PLACE: usize = 200;
/// How many are given up for their age at once, so that the lock is short.
const AT_ONCE: usize = 64;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Publications of one audience.
    pub each: usize,
    /// How long.
    pub age: Duration,
    /// Bytes in all.
    pub bytes: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            each: 100,
            age: Duration::from_mins(5),
            bytes: 64 << 20,
        }
    }
}

/// The last publications of each audience.
#[derive(Debug)]
pub(super) struct History {
    limits: HistoryLimits,
    /// None is empty.
    logs: HashMap<Audience, AudienceLog>,
    /// All that is in logs, in order, and some that is not any more.
    order: VecDeque<StoredAt>,
    /// How much is in logs.
    kept: usize,
    /// For how many audiences those are kept that are kept for several.
    crowds: HashMap<u64, usize>,
    bytes: usize,
    /// The last that audiences without a log lost.
    floors: Marks,
    /// Of each topic, the last publication that is withheld from a user, or from all.
    cuts: Marks,
    metrics: HistoryMetrics,
}

/// Where a publication was put.
#[derive(Debug)]
struct StoredAt {
    audience: Audience,
    mark: HistoryMark,
}

impl History {
    pub(super) fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            logs: HashMap::new(),
            order: VecDeque::new(),
            kept: 0,
            crowds: HashMap::new(),
            bytes: 0,
            floors: Marks::default(),
            cuts: Marks::default(),
            metrics: HistoryMetrics::default(),
        }
    }

    /// Says here how much it keeps.
    pub(super) fn measured_by(self, metrics: HistoryMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Keeps to other limits, with what is published next. What was too old already does not come back: revocations
    /// that are as old may be forgotten.
    pub(super) fn adopt(&mut self, limits: HistoryLimits) {
        let now = Instant::now();
        while self.is_old(self.order.front().map(|place| place.mark), now) {
            self.forget_oldest();
        }
        self.limits = limits;
    }

    /// Keeps what is published now. What is for a single connection is not kept: no client comes back as that one.
    pub(super) fn keep(&mut self, to: &[Audience], new: &Kept) {
        let to = to
            .iter()
            .filter(|audience| !matches!(audience, Audience::Connection(_)));
        let count = to.clone().count();
        let size = ITEM + new.item.size();
        if count == 0 {
            return;
        }
        if self.limits.each == 0 || size + count * PLACE > self.limits.bytes {
            to.for_each(|audience| self.lose(audience, new.mark));
            return;
        }
        self.bytes += size;
        if count > 1 {
            self.crowds.insert(new.mark.sequence, count);
        }
        for audience in to {
            self.place(audience, new);
        }
        self.forget_old(new.mark.at);
        while self.bytes > self.limits.bytes && self.forget_oldest() {}
        if self.order.len() > 2 * self.kept + 1024 {
            let logs = &self.logs;
            self.order.retain(|place| {
                let theirs = logs.get(&place.audience);
                theirs.is_some_and(|theirs| theirs.has(place.mark.sequence))
            });
        }
        self.report();
    }

    /// Loses all that is kept for an audience.
    pub(super) fn clear(&mut self, audience: &Audience) {
        while self.pop(audience) {}
        self.report();
    }

    /// Loses all that is kept. Every client whose position is before this mark misses something.
    pub(super) fn clear_all(&mut self, mark: HistoryMark) {
        self.logs.clear();
        self.order.clear();
        self.crowds.clear();
        (self.kept, self.bytes) = (0, 0);
        self.floors.raise_all(mark);
        self.report();
    }

    /// Takes a topic away from a user, or from all: they get nothing of it any more that was published up to this mark.
    pub(super) fn cut(&mut self, topic: &TopicName, user: Option<&UserId>, mark: HistoryMark) {
        self.cuts.raise(&(topic, user), mark);
        if user.is_none() {
            self.clear(&Audience::Topic(topic.clone()));
        }
    }

    /// Returns the last publication of a topic that a user must not get.
    pub(super) fn cut_of(&self, topic: &TopicName, user: &UserId) -> Option<HistoryMark> {
        let of_user = self.cuts.get(&(topic, Some(user)));
        HistoryMark::later(of_user, self.cuts.get(&(topic, None::<&UserId>)))
    }

    /// Returns the last of an audience's publications that is gone.
    pub(super) fn floor(&mut self, audience: &Audience, now: Instant) -> Option<HistoryMark> {
        while self.is_old(self.oldest(audience), now) {
            self.pop(audience);
        }
        self.report();
        match self.logs.get(audience) {
            Some(theirs) => theirs.floor(),
            None => self.floors.get(audience),
        }
    }

    /// Returns what an audience had after what is known, in order.
    pub(super) fn after(
        &self,
        audience: &Audience,
        known: KnownUpTo,
    ) -> impl Iterator<Item = &Kept> {
        let theirs = self.logs.get(audience);
        theirs
            .into_iter()
            .flat_map(move |theirs| theirs.after_known(known))
    }

    fn report(&self) {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.bytes.set(number(self.bytes));
        self.metrics.frames.set(number(self.kept));
    }

    fn place(&mut self, audience: &Audience, new: &Kept) {
        let theirs = match self.logs.get_mut(audience) {
            Some(theirs) => theirs,
            None => self
                .logs
                .entry(audience.clone())
                .or_insert_with(|| AudienceLog::after(self.floors.get(audience))),
        };
        let replaced = theirs.push(new);
        let mut beyond = theirs.len().saturating_sub(self.limits.each);
        self.order.push_back(StoredAt {
            audience: audience.clone(),
            mark: new.mark,
        });
        self.kept += 1;
        self.bytes += PLACE;
        if let Some(replaced) = replaced {
            self.release(&replaced);
        }
        // Several, where the limit was larger before a reload.
        while beyond > 0 && self.pop(audience) {
            beyond -= 1;
        }
    }

    /// Loses what is published now, and so all that was before.
    fn lose(&mut self, audience: &Audience, mark: HistoryMark) {
        self.clear(audience);
        self.floors.raise(audience, mark);
    }

    /// Gives up what is too old.
    fn forget_old(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            let oldest = self.order.front().map(|place| place.mark);
            if !self.is_old(oldest, now) {
                return;
            }
            self.forget_oldest();
        }
    }

    /// Gives up the oldest of all. Returns whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some(place) = self.order.pop_front() else {
            return false;
        };
        if self.oldest(&place.audience) == Some(place.mark) {
            self.pop(&place.audience);
        }
        true
    }

    /// Gives up the oldest of an audience. Returns whether there was one.
    fn pop(&mut self, audience: &Audience) -> bool {
        let Some(theirs) = self.logs.get_mut(audience) else {
            return false;
        };
        let oldest = theirs.pop();
        if theirs.len() == 0 {
            if let Some(floor) = theirs.floor() {
                self.floors.raise(audience, floor);
            }
            self.logs.remove(audience);
        }
        if let Some(oldest) = &oldest {
            self.release(oldest);
        }
        oldest.is_some()
    }

    /// Counts what is no longer kept for one audience.
    fn release(&mut self, gone: &Kept) {
        self.kept -= 1;
        self.bytes -= PLACE;
        if let Some(left) = self.crowds.get_mut(&gone.mark.sequence) {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.crowds.remove(&gone.mark.sequence);
        }
        self.bytes -= ITEM + gone.item.size();
    }

    fn oldest(&self, audience: &Audience) -> Option<HistoryMark> {
        self.logs.get(audience)?.oldest()
    }

    fn is_old(&self, mark: Option<HistoryMark>, now: Instant) -> bool {
        mark.is_some_and(|mark| now.saturating_duration_since(mark.at) >= self.limits.age)
    }
}

#[cfg(test)]
mod tests;
