//! How many waiting handshakes go to Django together, and when.
//!
//! Used by `queue` where there is a batch view. The first few of a crowd are asked for at once, one by
//! one; only when more come than [`SINGLES_PER_SECOND`] are they collected, over windows that double while the
//! storm lasts, and halve in a lull. A window ends early when no handshake came for a while: those that wait
//! may be all there are, as with clients that take turns. So a lone visitor never waits, and a storm costs
//! Django a handful of requests however fast it answers.

use std::time::{Duration, Instant};

/// Beyond this many handshakes a second there is a storm.
const SINGLES_PER_SECOND: f64 = 24.0;
/// How many may come at once before that counts.
const SINGLES_AT_ONCE: f64 = 4.0;
/// The first window of a storm.
const FIRST: Duration = Duration::from_millis(50);
/// No window is longer.
const LONGEST: Duration = Duration::from_millis(1500);
/// When nobody came for this part of a window, it ends...
const QUIET_PART: u32 = 8;
/// ...but not for a shorter time than this.
const QUIET: Duration = Duration::from_millis(50);
/// A lull of this many windows is the end of a storm.
const LULL: u32 = 4;
/// The batch view takes no more.
pub(in crate::session) const MOST: usize = 500;

/// What to do about those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Departure {
    /// Ask for one of them.
    One,
    /// Ask for as many as fit one batch.
    Batch,
    /// Wait for more, until then.
    Collect(Instant),
}

#[derive(Debug)]
pub(in crate::session) struct Batcher {
    /// How many may be asked for one by one just now.
    singles: f64,
    counted: Instant,
    storm: Option<Window>,
    longest: Duration,
}

/// The time over which handshakes are collected.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    length: Duration,
    /// How many waited when the last one came, and when that was.
    last: (usize, Instant),
}

impl Batcher {
    /// Nobody came yet. A handshake that is not accepted after `patience` should be answered by then.
    pub(in crate::session) fn new(patience: Duration, now: Instant) -> Self {
        Self {
            singles: SINGLES_AT_ONCE,
            counted: now,
            storm: None,
            longest: longest(patience),
        }
    }

    /// Has another patience from now on.
    pub(in crate::session) fn adopt(&mut self, patience: Duration) {
        self.longest = longest(patience);
    }

    /// What to do about `waiting` handshakes, at least one.
    pub(in crate::session) fn next(&mut self, waiting: usize, now: Instant) -> Departure {
        let Some(window) = &mut self.storm else {
            return self.next_in_calm(now);
        };
        let ends = window.ends(waiting, now);
        if now < ends && waiting < MOST {
            return Departure::Collect(ends);
        }
        let came = f64::from(u32::try_from(waiting).unwrap_or(u32::MAX));
        let since = now.saturating_duration_since(window.began);
        let length = match came > SINGLES_PER_SECOND * since.as_secs_f64() {
            true => Some((2 * window.length).min(self.longest)),
            false if since < LULL * window.length => Some(window.length / 2),
            false => None,
        };
        let length = length.filter(|length| *length >= FIRST.min(self.longest));
        self.storm = length.map(|length| Window::new(length, now));
        (self.singles, self.counted) = (0.0, now);
        Departure::Batch
    }

    fn next_in_calm(&mut self, now: Instant) -> Departure {
        let since = now.saturating_duration_since(self.counted);
        let more = SINGLES_PER_SECOND * since.as_secs_f64();
        self.singles = (self.singles + more).min(SINGLES_AT_ONCE);
        self.counted = now;
        if self.singles >= 1.0 {
            self.singles -= 1.0;
            return Departure::One;
        }
        let length = FIRST.min(self.longest);
        self.storm = Some(Window::new(length, now));
        Departure::Collect(now + length)
    }
}

impl Window {
    fn new(length: Duration, now: Instant) -> Self {
        Self {
            began: now,
            length,
            last: (0, now),
        }
    }

    /// When it ends, unless somebody else comes before.
    fn ends(&mut self, waiting: usize, now: Instant) -> Instant {
        if waiting > self.last.0 {
            self.last = (waiting, now);
        }
        let quiet = (self.length / QUIET_PART).max(QUIET);
        (self.began + self.length).min(self.last.1 + quiet)
    }
}

/// How long handshakes are collected at most, for those of this patience.
fn longest(patience: Duration) -> Duration {
    LONGEST.min(3 * patience / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets sessions come at an even pace to a Django that answers at once; returns what was asked,
    /// and the longest that anybody waited.
    fn storm(sessions: u32, over: Duration) -> (Vec<usize>, Duration) {
        let began = Instant::now();
        let mut pace = Batcher::new(Duration::from_secs(2), began);
        let mut calls = Vec::new();
        let mut waiting: Vec<Instant> = Vec::new();
        let mut longest = Duration::ZERO;
        let mut due = None;
        let step = Duration::from_micros(500);
        let (mut now, mut came) = (began, 0);
        while came < sessions || !waiting.is_empty() {
            let progress = (now - began).as_secs_f64() / over.as_secs_f64();
            while came < sessions && f64::from(came) <= progress * f64::from(sessions) {
                waiting.push(now);
                came += 1;
                due = None;
            }
            while !waiting.is_empty() && due.is_none_or(|due| due <= now) {
                let take = match pace.next(waiting.len(), now) {
                    Departure::One => 1,
                    Departure::Batch => waiting.len().min(MOST),
                    Departure::Collect(until) => {
                        due = Some(until);
                        continue;
                    }
                };
                longest = longest.max(now - waiting[0]);
                waiting.drain(..take);
                calls.push(take);
                due = None;
            }
            now += step;
        }
        (calls, longest)
    }

    #[test]
    fn a_storm_of_two_thousand_sessions_costs_a_handful_of_requests() {
        for seconds in [0.05, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0] {
            let (calls, longest) = storm(2000, Duration::from_secs_f64(seconds));
            assert!(calls.len() <= 17, "{seconds} s: {calls:?}");
            assert_eq!(calls.iter().sum::<usize>(), 2000);
            assert!(longest <= LONGEST + FIRST, "{seconds} s: {longest:?}");
        }
    }

    #[test]
    fn visitors_of_a_quiet_site_never_wait() {
        let (calls, longest) = storm(100, Duration::from_secs(10));
        assert_eq!((calls.len(), longest), (100, Duration::ZERO));
        let (calls, longest) = storm(4, Duration::from_millis(1));
        assert_eq!((calls.len(), longest), (4, Duration::ZERO));
    }

    #[test]
    fn after_a_storm_a_visitor_is_asked_for_at_once_again() {
        let mut now = Instant::now();
        let mut pace = Batcher::new(Duration::from_secs(2), now);
        while pace.next(400, now) == Departure::One {}
        now += FIRST;
        assert_eq!(pace.next(400, now), Departure::Batch);
        // The next one still falls into the storm's window, and finds nobody else there.
        now += Duration::from_secs(1);
        assert_eq!(pace.next(1, now), Departure::Batch);
        now += Duration::from_secs(1);
        assert_eq!(pace.next(1, now), Departure::One);
    }

    #[test]
    fn a_lull_does_not_make_a_storm_begin_anew() {
        let mut now = Instant::now();
        let mut pace = Batcher::new(Duration::from_secs(2), now);
        let mut lengths = Vec::new();
        while pace.next(100, now) == Departure::One {}
        for everybody in [true, true, true, false, false, true, true] {
            let (began, mut waiting) = (now, 1);
            while let Departure::Collect(_) = pace.next(waiting, now) {
                now += Duration::from_millis(1);
                waiting += usize::from(everybody);
            }
            lengths.push((now - began).as_millis());
        }
        // In the lulls a window of 400 and one of 200 ms end early.
        assert_eq!(lengths, [50, 100, 200, 50, 50, 100, 200]);
    }

    #[test]
    fn clients_that_take_turns_are_not_held_up_for_whole_windows() {
        let mut now = Instant::now();
        let mut pace = Batcher::new(Duration::from_secs(2), now);
        let began = now;
        for _round in 0..40 {
            let mut waiting = 0;
            while waiting < 50 {
                match pace.next(waiting + 1, now) {
                    Departure::One => {}
                    _ => waiting += 1,
                }
                now += Duration::from_millis(1);
            }
            while let Departure::Collect(until) = pace.next(waiting, now) {
                now = until;
            }
        }
        assert!(now - began < Duration::from_secs(12), "{:?}", now - began);
    }

    #[test]
    fn nobody_waits_longer_than_the_patience_allows() {
        let now = Instant::now();
        let mut pace = Batcher::new(Duration::from_millis(60), now);
        let windows = (0..20).map(|n| pace.next(100, now + n * FIRST));
        for (n, window) in (0..).zip(windows) {
            if let Departure::Collect(until) = window {
                assert!(until <= now + n * FIRST + Duration::from_millis(45));
            }
        }
    }
}
