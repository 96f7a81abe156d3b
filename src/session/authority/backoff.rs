//! When a Django that could not be reached is asked again.
//!
//! Used by `queue`. One call that takes too long is no outage while others are answered, so that a
//! single session whose judgement hangs holds up no other.

use std::time::{Duration, Instant};

use crate::net::backoff::ExponentialBackoff;

/// At first less than a tenth of a second, which no user notices.
const PAUSES: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(1),
    jitter: 0.0,
};

/// Whether Django can be reached, as far as is known.
#[derive(Debug, Default)]
pub(in crate::session) struct Backoff {
    answered: Option<Instant>,
    away: Option<Away>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    next: Instant,
    failures: u32,
}

impl Backoff {
    /// Django answered a call, whatever it said.
    pub(in crate::session) fn answered(&mut self, now: Instant) {
        (self.answered, self.away) = (Some(now), None);
    }

    /// A call that began at `began` was not answered.
    pub(in crate::session) fn failed(&mut self, began: Instant, now: Instant) {
        if self.answered.is_some_and(|answered| answered >= began) {
            return;
        }
        let failures = match self.away {
            None => 1,
            // One of several that were under way together.
            Some(away) if now < away.next => return,
            Some(away) => away.failures.saturating_add(1),
        };
        let next = now + PAUSES.pause(failures);
        self.away = Some(Away { next, failures });
    }

    /// When to knock again, where Django is away.
    pub(in crate::session) fn next(&self) -> Option<Instant> {
        self.away.map(|away| away.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_knocked_at_longer_and_longer_intervals_until_somebody_answers() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.failed(now, now);
            // A second one of the same moment changes nothing.
            backoff.failed(now, now);
            let next = backoff.next().unwrap();
            waits.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000]);
        backoff.answered(now);
        assert_eq!(backoff.next(), None);
    }

    #[test]
    fn a_call_that_hangs_while_others_are_answered_is_no_outage() {
        let began = Instant::now();
        let mut backoff = Backoff::default();
        backoff.answered(began + Duration::from_secs(1));
        backoff.failed(began, began + Duration::from_secs(2));
        assert_eq!(backoff.next(), None);
        backoff.failed(
            began + Duration::from_secs(2),
            began + Duration::from_secs(3),
        );
        assert!(backoff.next().is_some());
    }
}
