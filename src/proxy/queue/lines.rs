//! Who waits, each requester in a line of its own, and whose turn it is.
//!
//! Kept by `schedule`, once for those that are known and once for all others. Every operation takes the time
//! of a look into a tree, however many wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::requester::Requester;

/// Lines of requesters, served in turn.
#[derive(Debug)]
pub(super) struct Lines<W> {
    /// Those that wait or have places.
    by_requester: HashMap<Requester, WaitingLine<W>>,
    /// Those that wait, by whose turn is first.
    turns: BTreeMap<u64, Requester>,
    /// Those that wait, by how many of theirs do, and how late the last of them came.
    lengths: BTreeSet<(usize, u64, Requester)>,
    next_turn: u64,
    waiting: usize,
    taken: usize,
}

#[derive(Debug)]
struct WaitingLine<W> {
    waiting: BTreeMap<u64, W>,
    turn: u64,
    taken: usize,
}

impl<W> Lines<W> {
    /// Empty lines.
    pub(super) fn new() -> Self {
        Self {
            by_requester: HashMap::new(),
            turns: BTreeMap::new(),
            lengths: BTreeSet::new(),
            next_turn: 0,
            waiting: 0,
            taken: 0,
        }
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many have a place.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// How many of one requester's wait.
    pub(super) fn waiting_of(&self, requester: Requester) -> usize {
        let line = self.by_requester.get(&requester);
        line.map_or(0, |line| line.waiting.len())
    }

    /// Puts a request at the end of its requester's line. Tickets grow.
    pub(super) fn enqueue(&mut self, requester: Requester, ticket: u64, waiter: W) {
        self.change(requester, |line| line.waiting.insert(ticket, waiter));
    }

    /// Takes a request out of its line.
    pub(super) fn remove(&mut self, requester: Requester, ticket: u64) -> Option<W> {
        self.change(requester, |line| line.waiting.remove(&ticket))
    }

    /// Takes the last request of the longest line out: of lines as long, the one that came last.
    pub(super) fn remove_newest(&mut self) -> Option<W> {
        let (_, ticket, requester) = *self.lengths.last()?;
        self.remove(requester, ticket)
    }

    /// How many wait in the longest line.
    pub(super) fn longest(&self) -> usize {
        self.lengths.last().map_or(0, |(length, _, _)| *length)
    }

    /// The requester whose turn it is: the first that has fewer than `share` places.
    pub(super) fn first_below(&self, share: usize) -> Option<Requester> {
        let requesters = self.turns.values();
        // No more than `places / share` of them are passed over.
        let mut requesters = requesters.copied();
        requesters.find(|requester| {
            let line = self.by_requester.get(requester);
            line.is_some_and(|line| line.taken < share)
        })
    }

    /// The requester whose turn it is.
    pub(super) fn first(&self) -> Option<Requester> {
        self.turns.values().next().copied()
    }

    /// Gives a place to the first in an requester's line, whose next turn is then after all others'.
    pub(super) fn serve(&mut self, requester: Requester) -> Option<W> {
        let turn = self.take_turn();
        let served = self.change(requester, |line| {
            let (_, waiter) = line.waiting.pop_first()?;
            line.turn = turn;
            line.taken += 1;
            Some(waiter)
        })?;
        self.taken += 1;
        Some(served)
    }

    /// Gives a place to a request that need not wait.
    pub(super) fn take(&mut self, requester: Requester) {
        self.change(requester, |line| line.taken += 1);
        self.taken += 1;
    }

    /// Takes a place back.
    pub(super) fn give_back(&mut self, requester: Requester) {
        self.change(requester, |line| line.taken -= 1);
        self.taken -= 1;
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// Changes an requester's line, and keeps all that is known of lines up to date.
    fn change<R>(
        &mut self,
        requester: Requester,
        change: impl FnOnce(&mut WaitingLine<W>) -> R,
    ) -> R {
        let turn = self.take_turn();
        let line = self
            .by_requester
            .entry(requester)
            .or_insert_with(|| WaitingLine {
                waiting: BTreeMap::new(),
                turn,
                taken: 0,
            });
        let before = line.waiting.len();
        if let Some((newest, _)) = line.waiting.last_key_value() {
            self.lengths.remove(&(before, *newest, requester));
            self.turns.remove(&line.turn);
        } else {
            // A new waiter comes after all others.
            line.turn = turn;
        }
        let changed = change(line);
        self.waiting = self.waiting - before + line.waiting.len();
        if let Some((newest, _)) = line.waiting.last_key_value() {
            self.lengths
                .insert((line.waiting.len(), *newest, requester));
            self.turns.insert(line.turn, requester);
        } else if line.taken == 0 {
            self.by_requester.remove(&requester);
        }
        changed
    }

    /// How many requesters are remembered.
    #[cfg(test)]
    pub(super) fn requesters(&self) -> usize {
        self.by_requester.len()
    }
}
