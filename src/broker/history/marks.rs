//! Moments of the history, one for each of many names, in bounded memory.
//!
//! Used for the last publication that an audience lost, and for topics that were taken from users. Names are kept as
//! hashes. Two names with one hash share the later mark, and a name that was forgotten has the latest of all forgotten
//! ones: a client may be told to fetch anew for nothing, never the other way round.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::broker::kept::HistoryMark;
use crate::ids;
use crate::median::median;
use crate::publication::Audience;

/// Beyond this number the older half is forgotten.
const MOST: usize = 65_536;

/// A mark for each name.
#[derive(Debug, Default)]
pub(super) struct Marks {
    keys: NameKeys,
    known: HashMap<u64, HistoryMark>,
    /// The latest of those that are forgotten.
    forgotten: Option<HistoryMark>,
}

/// By which names are hashed: nobody outside makes them collide, and another process can go on with them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct NameKeys([u64; 2]);

/// Marks, as another process is told of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MarksSnapshot {
    keys: NameKeys,
    /// What a name hashes to here: another program may do it otherwise.
    sample: u64,
    known: Vec<(u64, SentMark)>,
    forgotten: Option<SentMark>,
}

/// A mark, as another process is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentMark {
    sequence: u64,
    /// In milliseconds.
    age: u64,
}

impl Marks {
    /// All of them.
    pub(super) fn snapshot(&self, now: Instant) -> MarksSnapshot {
        let known = self.known.iter();
        MarksSnapshot {
            keys: self.keys,
            sample: self.keys.sample(),
            known: known
                .map(|(name, mark)| (*name, SentMark::of(*mark, now)))
                .collect(),
            forgotten: self.forgotten.map(|mark| SentMark::of(mark, now)),
        }
    }

    /// Goes on with those of another process. Where names would be hashed otherwise, the latest counts for all.
    pub(super) fn inherit(&mut self, from: MarksSnapshot, now: Instant) {
        let known = from.known.into_iter();
        let known = known.map(|(name, mark)| (name, mark.mark(now)));
        self.forgotten = from.forgotten.map(|mark| mark.mark(now));
        if from.sample == from.keys.sample() {
            self.keys = from.keys;
            self.known = known.collect();
        } else {
            let latest = known.map(|(_, mark)| mark).max_by_key(|mark| mark.sequence);
            self.forgotten = HistoryMark::later(self.forgotten, latest);
        }
    }
    /// The mark of a name, or a later one.
    pub(super) fn get(&self, name: &impl Hash) -> Option<HistoryMark> {
        let known = self.known.get(&self.keys.hash(name)).copied();
        HistoryMark::later(known, self.forgotten)
    }

    /// Moves the mark of a name forward.
    pub(super) fn raise(&mut self, name: &impl Hash, mark: HistoryMark) {
        let name = self.keys.hash(name);
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

impl NameKeys {
    #[expect(
        deprecated,
        reason = "SipHash with keys of one's own; the standard library has it nowhere else, and says what it computes"
    )]
    fn hash(self, name: &(impl Hash + ?Sized)) -> u64 {
        let [one, other] = self.0;
        let mut hasher = std::hash::SipHasher::new_with_keys(one, other);
        name.hash(&mut hasher);
        hasher.finish()
    }

    /// Of all kinds of names that are hashed.
    fn sample(self) -> u64 {
        let topic = ids::TopicName::new("a.b:1");
        let user = ids::UserId::new("1");
        let audiences = topic.clone().map(|topic| {
            [
                Audience::User(user.clone()),
                Audience::Group(ids::GroupName::new("g")),
                Audience::Topic(topic),
                Audience::Everyone,
            ]
        });
        self.hash(&(audiences, topic.as_ref(), Some(&user)))
    }
}

impl Default for NameKeys {
    fn default() -> Self {
        Self([0; 2].map(|_: u8| u64::from_le_bytes(ids::random())))
    }
}

impl SentMark {
    pub(super) fn of(mark: HistoryMark, now: Instant) -> Self {
        let age = now.saturating_duration_since(mark.at);
        Self {
            sequence: mark.sequence,
            age: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn mark(self, now: Instant) -> HistoryMark {
        HistoryMark {
            sequence: self.sequence,
            // A machine that runs for a shorter time than that has nothing older.
            at: now
                .checked_sub(Duration::from_millis(self.age))
                .unwrap_or(now),
        }
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
    fn another_process_goes_on_with_them_or_is_careful() {
        let mut marks = Marks::default();
        marks.raise(&1_u64, mark(7));
        marks.raise(&2_u64, mark(9));
        let now = Instant::now();
        let mut next = Marks::default();
        next.inherit(marks.snapshot(now), now);
        let known = [1, 2, 3].map(|name| sequence(&next, name));
        assert_eq!(known, [Some(7), Some(9), None]);
        let mut other = marks.snapshot(now);
        other.sample ^= 1;
        let mut next = Marks::default();
        next.inherit(other, now);
        assert_eq!(sequence(&next, 3), Some(9));
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
