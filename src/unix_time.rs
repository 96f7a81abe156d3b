//! The time since 1970: how moments are written that another process is to read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// This moment. A clock that stands before 1970 says 1970.
pub fn now() -> Duration {
    of(SystemTime::now())
}

/// This moment, in whole seconds.
pub fn seconds() -> u64 {
    now().as_secs()
}

/// A moment; one before 1970 is 1970.
pub fn of(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The moment at a time since 1970; `None`: so late that it cannot be told.
pub fn moment(since: Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(since)
}

/// A time in whole milliseconds, as it is written.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The instant at which it was so many milliseconds; now for a moment to come, `None` for one too long ago.
pub fn instant(at: u64) -> Option<Instant> {
    let ago = milliseconds(now()).saturating_sub(at);
    Instant::now().checked_sub(Duration::from_millis(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_as_it_was_written() {
        let written = Duration::from_millis(1_700_000_000_123);
        assert_eq!(milliseconds(written), 1_700_000_000_123);
        assert_eq!(of(moment(written).unwrap()), written);
        assert!(now() > written && seconds() >= written.as_secs());
    }

    #[test]
    fn moments_out_of_reach_are_bounded() {
        assert_eq!(of(UNIX_EPOCH - Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(moment(Duration::MAX), None);
        assert_eq!(milliseconds(Duration::MAX), u64::MAX);
    }
}
