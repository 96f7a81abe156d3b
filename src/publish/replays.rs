//! Signatures that were believed already: each is good for one call that changes something.
//!
//! Used by `caller`. Memory is bounded and nothing is let through for want of it. Where it is full, the
//! oldest second is forgotten, and signatures of that second and before are refused: with clocks that agree
//! this goes unnoticed. Nor does a clock that jumps shut Django out: what was forgotten is a second on the
//! clock of then, and one that is set back begins as a gateway does that has just started.

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;

use super::error::PublishError;
use crate::web::signature::{Signature, TOLERANCE};

/// Signatures that are remembered at most: 2 MiB, and a minute of 1,000 calls a second.
const MOST: usize = 64 * 1024;

/// Half a tag is enough to tell signatures apart.
type Mark = [u8; 16];

/// Remembers signatures for as long as their time is in order.
#[derive(Debug, Default)]
pub struct Replays {
    seen: Mutex<SeenSignatures>,
}

#[derive(Debug, Default)]
struct SeenSignatures {
    /// By the second that a signature names.
    marks: BTreeMap<u64, HashSet<Mark>>,
    count: usize,
    /// Signatures of a second before this one may have been forgotten.
    since: u64,
}

impl Replays {
    /// Takes a signature that is right, unless it was taken before. `now` is in unix seconds.
    pub(super) fn accept(&self, signature: Signature, now: u64) -> Result<(), PublishError> {
        let mut seen = self.seen.lock();
        seen.accept(signature, now)
    }
}

impl SeenSignatures {
    fn accept(&mut self, signature: Signature, now: u64) -> Result<(), PublishError> {
        self.begin_anew_if_set_back(now);
        self.forget_before(now.saturating_sub(TOLERANCE));
        if signature.time < self.since {
            let seconds = now.saturating_sub(signature.time);
            return Err(PublishError::Crowded { seconds });
        }
        let mut mark = Mark::default();
        mark.copy_from_slice(&signature.tag[..size_of::<Mark>()]);
        if !self.marks.entry(signature.time).or_default().insert(mark) {
            return Err(PublishError::Replayed);
        }
        self.count += 1;
        while self.count > MOST
            && let Some(oldest) = self.marks.keys().next()
        {
            self.forget_before(oldest + 1);
        }
        Ok(())
    }

    /// Forgets what is of a second before this one, and believes nothing more of the seconds that it forgets.
    fn forget_before(&mut self, second: u64) {
        while let Some(oldest) = self.marks.first_entry()
            && *oldest.key() < second
        {
            self.since = self.since.max(oldest.key() + 1);
            self.count -= oldest.remove().len();
        }
    }

    /// What was forgotten was never of a later second than clocks may differ by.
    fn begin_anew_if_set_back(&mut self, now: u64) {
        if self.since > now + TOLERANCE + 1 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;
    const DAY: u64 = 86_400;

    fn signature(time: u64, number: usize) -> Signature {
        let mut tag = [0; 32];
        tag[..8].copy_from_slice(&number.to_le_bytes());
        Signature { time, tag }
    }

    #[test]
    fn a_signature_is_taken_once_for_as_long_as_it_is_good() {
        let replays = Replays::default();
        for time in [NOW - 60, NOW, NOW + 60] {
            assert!(replays.accept(signature(time, 1), NOW).is_ok());
            assert!(replays.accept(signature(time, 2), NOW).is_ok());
            let again = replays.accept(signature(time, 1), NOW);
            assert!(matches!(again, Err(PublishError::Replayed)));
        }
        let later = replays.accept(signature(NOW + 60, 2), NOW + 120);
        assert!(matches!(later, Err(PublishError::Replayed)));
        assert_eq!(replays.seen.lock().count, 2);
    }

    #[test]
    fn a_flood_makes_old_ones_unbelievable_instead_of_new() {
        let replays = Replays::default();
        let old = signature(NOW - 5, 0);
        assert!(replays.accept(old, NOW).is_ok());
        for number in 0..2 * MOST {
            let second = NOW + (number / 1000) as u64;
            replays.accept(signature(second, number), second).unwrap();
        }
        assert!(replays.seen.lock().count <= MOST);
        let now = NOW + (2 * MOST / 1000) as u64;
        for time in [NOW - 5, NOW + 3] {
            let refused = replays.accept(signature(time, usize::MAX), now);
            assert!(matches!(refused, Err(PublishError::Crowded { .. })));
        }
        assert!(replays.accept(signature(now, usize::MAX), now).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let replays = Replays::default();
        assert!(replays.accept(signature(NOW, 1), NOW).is_ok());
        assert!(replays.accept(signature(NOW, 1), NOW - 50).is_err());
    }

    #[test]
    fn a_clock_that_jumps_and_comes_back_shuts_nobody_out_and_lets_no_replay_in() {
        let replays = Replays::default();
        assert!(replays.accept(signature(NOW, 1), NOW).is_ok());
        let ahead = NOW + 2 * DAY;
        assert!(replays.accept(signature(ahead, 2), ahead).is_ok());
        for number in [1, 3] {
            let known = replays.accept(signature(NOW, number), NOW + 5);
            assert!(matches!(known, Err(PublishError::Crowded { .. })));
        }
        assert!(replays.accept(signature(NOW + 5, 4), NOW + 5).is_ok());
        assert!(replays.accept(signature(NOW + 5, 4), NOW + 5).is_err());
    }

    #[test]
    fn a_clock_that_was_wrong_for_long_and_is_set_right_shuts_nobody_out() {
        let replays = Replays::default();
        let ahead = NOW + 2 * DAY;
        for second in 0..200 {
            let now = ahead + second;
            assert!(replays.accept(signature(now, 1), now).is_ok());
        }
        assert!(replays.accept(signature(NOW, 2), NOW).is_ok());
        assert!(replays.accept(signature(NOW, 2), NOW).is_err());
        assert_eq!(replays.seen.lock().count, 1);
    }
}
