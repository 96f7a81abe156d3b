//! What one audience has had lately.
//!
//! Used by the history. It remembers the last that it lost, so whether anything is missing since a moment is
//! one comparison.

use std::collections::VecDeque;

use crate::broker::kept::{HistoryMark, Kept, KnownUpTo};
use crate::hub::Item;

/// How far back an older item of the same key is looked for: it may be long.
const KEYS_LOOKED_AT: usize = 128;

#[derive(Debug, Default)]
pub(super) struct AudienceLog {
    /// In order.
    kept: VecDeque<Kept>,
    /// The last that was here and is not any more.
    floor: Option<HistoryMark>,
}

impl AudienceLog {
    /// An empty one, of an audience that has lost something before.
    pub(super) fn after(floor: Option<HistoryMark>) -> Self {
        Self {
            kept: VecDeque::new(),
            floor,
        }
    }

    /// Adds what is newer than all that is there. Gives what it takes the place of.
    pub(super) fn push(&mut self, new: &Kept) -> Option<Kept> {
        let old = self.conflate(&new.item);
        self.kept.push_back(new.clone());
        old
    }

    /// Takes an older item out: a client that gets the newer one does not miss it.
    fn conflate(&mut self, newer: &Item) -> Option<Kept> {
        newer.key()?;
        let newest = self.kept.iter().enumerate().rev().take(KEYS_LOOKED_AT);
        let same = |(at, kept): (usize, &Kept)| newer.replaces(&kept.item).then_some(at);
        let at = newest.into_iter().find_map(same)?;
        self.kept.remove(at)
    }

    /// Loses the oldest.
    pub(super) fn pop(&mut self) -> Option<Kept> {
        let oldest = self.kept.pop_front()?;
        self.floor = HistoryMark::later(self.floor, Some(oldest.mark));
        Some(oldest)
    }

    pub(super) fn oldest(&self) -> Option<HistoryMark> {
        self.kept.front().map(|kept| kept.mark)
    }

    pub(super) fn has(&self, sequence: u64) -> bool {
        let found = self
            .kept
            .binary_search_by_key(&sequence, |kept| kept.mark.sequence);
        found.is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The last that was lost.
    pub(super) fn floor(&self) -> Option<HistoryMark> {
        self.floor
    }

    /// What came after what is known, in order.
    pub(super) fn after_known(&self, known: KnownUpTo) -> impl Iterator<Item = &Kept> {
        let first = self.kept.partition_point(|kept| known.covers(kept.mark));
        self.kept.range(first..)
    }
}
