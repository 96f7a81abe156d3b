//! The publications of the last minutes that carried an `id`, so that a retry is not a second message.
//!
//! Used by the broker under its lock. An entry is a keyed 128-bit fingerprint of the id and its
//! audiences, not their text, so that the memory is bounded whatever callers send, and so that one id
//! sent to two users is two messages.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::receipt::Receipt;
use crate::publication::Audience;

/// The oldest are forgotten early beyond this number.
const MOST: usize = 100_000;

/// Names an id together with its audiences.
pub(super) type Fingerprint = u128;

/// Makes fingerprints that nobody outside this process can make collide.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    high: RandomState,
    low: RandomState,
}

#[derive(Debug)]
pub(super) struct Remembered {
    lifetime: Duration,
    receipts: HashMap<Fingerprint, Receipt>,
    /// In the order of insertion, which is the order of expiry: all live equally long.
    ends: VecDeque<(Instant, Fingerprint)>,
}

impl Fingerprints {
    pub(super) fn of(&self, id: &str, to: &[Audience]) -> Fingerprint {
        let high = self.high.hash_one((id, to));
        let low = self.low.hash_one((id, to));
        Fingerprint::from(high) << 64 | Fingerprint::from(low)
    }
}

impl Remembered {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            receipts: HashMap::new(),
            ends: VecDeque::new(),
        }
    }

    /// Remembers what comes for so long; what is remembered keeps its end, and holds up the end of what comes.
    pub(super) fn adopt(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// The receipt of a publication that is still remembered.
    pub(super) fn find(&mut self, fingerprint: Fingerprint, now: Instant) -> Option<Receipt> {
        self.forget(now, MOST);
        self.receipts.get(&fingerprint).copied()
    }

    /// Remembers a publication that [`Remembered::find`] did not know.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, receipt: Receipt, now: Instant) {
        self.forget(now, MOST - 1);
        self.receipts.insert(fingerprint, receipt);
        self.ends.push_back((now + self.lifetime, fingerprint));
    }

    /// Completes the receipt of a publication that was just remembered.
    pub(super) fn amend(&mut self, fingerprint: Fingerprint, receipt: Receipt) {
        if let Some(known) = self.receipts.get_mut(&fingerprint) {
            *known = receipt;
        }
    }

    /// Drops what has expired, and the oldest until `most` are left.
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((end, fingerprint)) = self.ends.front() {
            if *end > now && self.ends.len() <= most {
                return;
            }
            self.receipts.remove(fingerprint);
            self.ends.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Delivery;
    use crate::ids::UserId;
    use crate::publication::Position;

    fn receipt(sequence: u64) -> Receipt {
        Receipt {
            position: Position {
                generation: 1,
                sequence,
            },
            delivery: Delivery::default(),
            duplicate: false,
        }
    }

    #[test]
    fn an_entry_lives_as_long_as_it_should() {
        let start = Instant::now();
        let mut remembered = Remembered::new(Duration::from_secs(299));
        remembered.insert(7, receipt(1), start);
        let last = start + Duration::from_secs(298);
        assert_eq!(remembered.find(7, last), Some(receipt(1)));
        assert_eq!(remembered.find(8, last), None);
        assert_eq!(remembered.find(7, start + Duration::from_secs(299)), None);
        assert!(remembered.receipts.is_empty() && remembered.ends.is_empty());
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_bound() {
        let now = Instant::now();
        let mut remembered = Remembered::new(Duration::from_secs(299));
        for number in 0..=MOST as u64 {
            remembered.insert(number.into(), receipt(number), now);
        }
        assert_eq!(remembered.receipts.len(), MOST);
        assert_eq!(remembered.ends.len(), MOST);
        assert_eq!(remembered.find(0, now), None);
        assert_eq!(remembered.find(1, now), Some(receipt(1)));
    }

    #[test]
    fn an_id_is_remembered_for_its_audiences() {
        let fingerprints = Fingerprints::default();
        let ann = [Audience::User(UserId::new("1"))];
        let bob = [Audience::User(UserId::new("2"))];
        assert_eq!(fingerprints.of("a", &ann), fingerprints.of("a", &ann));
        assert_ne!(fingerprints.of("a", &ann), fingerprints.of("a", &bob));
        assert_ne!(fingerprints.of("a", &ann), fingerprints.of("b", &ann));
    }
}
