//! Moments of the history, one for each of many names, in bounded memory.
//!
//! Used for the last publication that an audience lost, and for topics that were taken from users. Names are kept as
//! hashes. Two names with one hash share the later mark, and a name that was forgotten has the latest of all forgotten
//! ones: a client may be told to fetch anew for nothing, never the other way round.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::broker::kept::HistoryMark;
use crate::median::median;

/// Beyond this number the older half is forgotten.
const MOST: usize = 65_536;

/// A mark for each name.
#[derive(Debug, Default)]
pub(super) struct Marks {
    hasher: RandomState,
    known: HashMap<u64, HistoryMark>,
    /// The latest of those that are forgotten.
    forgotten: Option<HistoryMark>,
}

impl Marks {
    /// The mark of a name, or a later one.
    pub(super) fn get(&self, name: &impl Hash) -> Option<HistoryMark> {
        let known = self.known.get(&self.hasher.hash_one(name)).copied();
        HistoryMark::later(known, self.forgotten)
    }

    /// Moves the mark of a name forward.
    pub(super) fn raise(&mut self, name: &impl Hash, mark: HistoryMark) {
        let name = self.hasher.hash_one(name);
        if self.known.len() >= MOST && !self.known.contains_key(&name) {
            self.forget_older_half();
        }
        let known = self.known.entry(name).or_insert(mark);
        known.raise(mark);
    }

    /// Moves every mark forward.
    pub(super) fn raise_all(&mut self, mark: HistoryMark) {
        self.known.clear();
        self.forgotten = HistoryMark::later(self.forgotten, Some(mark));
    }

    fn forget_older_half(&mut self) {
        let Some(last) = median(self.known.values().map(|mark| mark.sequence)) else {
            return;
        };
        let mut forgotten = self.forgotten;
        self.known.retain(|_, mark| {
            let is_old = mark.sequence <= last;
            if is_old {
                forgotten = HistoryMark::later(forgotten, Some(*mark));
            }
            !is_old
        });
        self.forgotten = forgotten;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn mark(sequence: u64) -> HistoryMark {
        HistoryMark {
            sequence,
            at: Instant::now(),
        }
    }

    fn sequence(marks: &Marks, name: u64) -> Option<u64> {
        marks.get(&name).map(|mark| mark.sequence)
    }

    #[test]
    fn a_mark_moves_forward_alone() {
        let mut marks = Marks::default();
        assert_eq!(sequence(&marks, 1), None);
        marks.raise(&1_u64, mark(7));
        marks.raise(&1_u64, mark(5));
        assert_eq!((sequence(&marks, 1), sequence(&marks, 2)), (Some(7), None));
    }

    #[test]
    fn what_is_forgotten_counts_for_everybody() {
        let mut marks = Marks::default();
        let many = MOST as u64 + 1;
        for name in 1..=many {
            marks.raise(&name, mark(name));
        }
        assert!(marks.known.len() <= MOST);
        let forgotten = sequence(&marks, many + 1).unwrap();
        assert!(forgotten >= many / 2 && forgotten < many);
        assert_eq!(sequence(&marks, 1), Some(forgotten));
        assert_eq!(sequence(&marks, many), Some(many));
    }
}
