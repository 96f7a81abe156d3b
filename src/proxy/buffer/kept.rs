//! The answers that are kept for slow clients, and which of them is cut off where no room is left.
//!
//! Filled by `store`. Of the address that has the most room the slowest answer goes, and never one that its
//! client takes at a decent pace: an address with many slow answers gives way, not others.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::quota::{InTheWay, Quota};
use super::room::RoomSeeker;
use crate::net::block::AddressBlock;
use crate::telemetry::seldom::Seldom;

/// Bytes a second; an answer that its client takes faster is never cut off.
const DECENT: u64 = 256 << 10;
/// Before that nobody can say how fast an answer is taken.
const YOUNG: Duration = Duration::from_millis(500);
/// So seldom it is said aloud.
const SAID: Duration = Duration::from_secs(10);

/// An answer that is kept.
pub(in crate::proxy) trait KeptAnswer: fmt::Debug + Send + Sync {
    /// How it stands.
    fn standing(&self) -> AnswerStanding;

    /// Ends it before its time: its room is free, and its client sees that it broke off.
    fn cut_off(&self, loudness: Loudness);
}

/// How an answer stands.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct AnswerStanding {
    /// Bytes that its client has taken since it is kept.
    pub(in crate::proxy) taken: u64,
    /// Bytes of it on disk.
    pub(in crate::proxy) on_disk: u64,
}

/// How something is said in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Loudness {
    /// Once in a while: as a warning.
    Aloud,
    /// All the others.
    Quietly,
}

/// The answers that are kept.
#[derive(Debug)]
pub(super) struct KeptAnswers {
    entries: Mutex<HashMap<u64, Entry>>,
    said: Seldom,
}

#[derive(Debug)]
struct Entry {
    address: AddressBlock,
    since: Instant,
    answer: Weak<dyn KeptAnswer>,
}

/// An answer that could be cut off.
struct Candidate {
    address: AddressBlock,
    age: Duration,
    answer: Arc<dyn KeptAnswer>,
    number: u64,
}

impl KeptAnswers {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            said: Seldom::new(SAID),
        }
    }

    pub(super) fn enter(&self, number: u64, address: AddressBlock, answer: Weak<dyn KeptAnswer>) {
        let entry = Entry {
            address,
            since: Instant::now(),
            answer,
        };
        self.entries.lock().insert(number, entry);
    }

    pub(super) fn leave(&self, number: u64) {
        self.entries.lock().remove(&number);
    }

    /// Cuts off the slowest answer that is in the way. `false`: none is slow.
    pub(super) fn make_way(&self, seeker: &RoomSeeker, disk: &Quota) -> bool {
        let slow = self.candidates(seeker).into_iter().filter_map(|candidate| {
            let standing = candidate.answer.standing();
            let pace = u128::from(standing.taken) * 1000 / candidate.age.as_millis().max(1);
            let helps = standing.on_disk > 0 || candidate.number == seeker.number;
            (helps && pace < u128::from(DECENT)).then_some((pace, candidate))
        });
        let slowest = slow.max_by_key(|(pace, candidate)| {
            let used = disk.used_by(candidate.address);
            // Among equals the one that came first.
            (used, Reverse(*pace), Reverse(candidate.number))
        });
        let Some((_, slowest)) = slowest else {
            return false;
        };
        let loudness = if self.said.is_due() {
            Loudness::Aloud
        } else {
            Loudness::Quietly
        };
        slowest.answer.cut_off(loudness);
        true
    }

    /// Those that are in the way, and old enough. Looked at without the lock, because dropping the last
    /// reference to an answer takes the lock to remove it.
    fn candidates(&self, seeker: &RoomSeeker) -> Vec<Candidate> {
        let entries = self.entries.lock();
        let in_the_way = entries.iter().filter(|(_, entry)| {
            let counts = seeker.in_the_way == InTheWay::Anybody || entry.address == seeker.address;
            counts && entry.since.elapsed() >= YOUNG
        });
        let candidates = in_the_way.filter_map(|(number, entry)| {
            Some(Candidate {
                address: entry.address,
                age: entry.since.elapsed(),
                answer: entry.answer.upgrade()?,
                number: *number,
            })
        });
        candidates.collect()
    }
}
