//! How long to wait before something that failed is tried again: twice as long each time.

use std::time::Duration;

use super::jitter::spread;

/// Pauses that double from `min` up to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialBackoff {
    /// After the first failure.
    pub min: Duration,
    /// However often it failed.
    pub max: Duration,
    /// The part of a pause by which it may be longer or shorter.
    pub jitter: f64,
}

impl ExponentialBackoff {
    /// The pause after this many failures in a row; none where nothing failed.
    pub fn pause(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let doubled = self.min.saturating_mul(2_u32.saturating_pow(doublings));
        let pause = doubled.min(self.max);
        if self.jitter > 0.0 {
            return spread(pause, self.jitter);
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: ExponentialBackoff = ExponentialBackoff {
        min: Duration::from_millis(250),
        max: Duration::from_secs(5),
        jitter: 0.0,
    };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = (0..8).map(|failures| BACKOFF.pause(failures).as_millis());
        assert!(pauses.eq([0, 250, 500, 1000, 2000, 4000, 5000, 5000]));
        assert_eq!(BACKOFF.pause(u32::MAX), BACKOFF.max);
    }

    #[test]
    fn jitter_goes_both_ways() {
        let backoff = ExponentialBackoff {
            jitter: 0.2,
            ..BACKOFF
        };
        let pauses: Vec<_> = (0..100).map(|_| backoff.pause(2).as_millis()).collect();
        assert!(pauses.iter().all(|pause| (399..=601).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
