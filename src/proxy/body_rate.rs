//! How long a client may take for the next part of its body.
//!
//! Used by `receive`. Only the time in which the gateway reads counts, and a client that
//! was fast may rest for as long as a pause may last, but no longer: a megabyte sent at once does not
//! pay for a quarter of an hour of single bytes.

use std::time::Duration;

use super::upload_fault::UploadFault;

/// Time that every body has, whatever its rate.
const FIRST: Duration = Duration::from_secs(10);

/// The pace a body must keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyPace {
    /// Between two parts.
    pub(super) stall: Duration,
    /// Bytes a second; `None`: any number.
    pub(super) rate: Option<u64>,
}

/// How a body keeps it.
#[derive(Debug)]
pub(super) struct BodyRate {
    pace: BodyPace,
    /// Time left before the body is too slow.
    credit: Duration,
}

impl BodyRate {
    /// Nothing has come yet.
    pub(super) fn new(pace: BodyPace) -> Self {
        Self {
            pace,
            credit: FIRST,
        }
    }

    /// How long the next part may take.
    pub(super) fn limit(&self) -> Duration {
        match self.pace.rate {
            Some(_) => self.pace.stall.min(self.credit),
            None => self.pace.stall,
        }
    }

    /// A part came, after the gateway had waited this long for it.
    pub(super) fn came(&mut self, bytes: usize, waited: Duration) {
        let Some(rate) = self.pace.rate else {
            return;
        };
        let earned = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
        let most = FIRST.max(self.pace.stall);
        self.credit = (self.credit.saturating_sub(waited) + earned).min(most);
    }

    /// What is wrong with a body whose next part did not come within the limit.
    pub(super) fn fault(&self) -> UploadFault {
        match self.pace.rate {
            Some(rate) if self.credit < self.pace.stall => UploadFault::TooSlow(rate),
            _ => UploadFault::Stalled(self.pace.stall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn body() -> BodyRate {
        BodyRate::new(BodyPace {
            stall: 30 * SECOND,
            rate: Some(1024),
        })
    }

    /// How many seconds a body lasts that brings this much each second.
    fn lasts(mut body: BodyRate, bytes: usize) -> u32 {
        (1..1000)
            .find(|_| {
                body.came(bytes, SECOND);
                body.limit() < SECOND
            })
            .unwrap_or(1000)
    }

    #[test]
    fn single_bytes_end_after_ten_seconds_and_the_rate_itself_never_does() {
        assert_eq!(lasts(body(), 1), 10);
        assert_eq!(lasts(body(), 512), 19);
        assert_eq!(lasts(body(), 1024), 1000);
        assert!(matches!(body().fault(), UploadFault::TooSlow(1024)));
    }

    #[test]
    fn who_was_fast_may_pause_but_not_drip() {
        let mut fast = body();
        fast.came(10 << 20, SECOND);
        assert_eq!(fast.limit(), 30 * SECOND);
        assert!(matches!(fast.fault(), UploadFault::Stalled(_)));
        assert!(lasts(fast, 1) <= 31);
    }

    #[test]
    fn without_a_rate_the_pause_alone_counts() {
        let pace = BodyPace {
            stall: 30 * SECOND,
            rate: None,
        };
        assert_eq!(lasts(BodyRate::new(pace), 1), 1000);
    }
}
