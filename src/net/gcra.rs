//! How often something may be done: a rate, and how many at once (GCRA, the generic cell rate
//! algorithm).
//!
//! Used wherever clients are limited to so many a second. All that is stored of a client is one moment:
//! when it could again do as many at once as if it had never been here.

use std::hash::Hash;
use std::ops::Add;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::hashed_slots::HashedSlots;

/// A rate a second, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// What one costs.
    interval: Duration,
    /// How far ahead of the clock a client may be.
    tolerance: Duration,
}

/// The same for each of many keys, in memory that never grows. Keys may share a slot by chance.
#[derive(Debug)]
pub struct KeyedGcra {
    rate: Gcra,
    began: Instant,
    /// For each the nanoseconds from `began` to its moment.
    slots: HashedSlots,
}

impl Gcra {
    /// `per_second`, of which `burst` may come at once; at least one in either case.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            tolerance: interval * burst.max(1),
        }
    }

    /// The moment to store for a client after one more, in place of `stored`; `None`: it is one too many.
    ///
    /// A moment is an [`Instant`], or the [`Duration`] since some other moment. For a new client any that
    /// has passed will do.
    pub fn spend<T>(&self, stored: T, now: T) -> Option<T>
    where
        T: Copy + Ord + Add<Duration, Output = T>,
    {
        let next = stored.max(now) + self.interval;
        (next <= now + self.tolerance).then_some(next)
    }
}

impl KeyedGcra {
    /// Nothing was done yet; this many slots, of eight bytes each.
    pub fn new(rate: Gcra, slots: usize) -> Self {
        Self {
            rate,
            began: Instant::now(),
            slots: HashedSlots::new(slots),
        }
    }

    /// Counts one more of a key, or says that it is one too many.
    pub fn spend(&self, key: impl Hash, now: Instant) -> bool {
        let now = now - self.began;
        let spent = |stored| {
            let next = self.rate.spend(Duration::from_nanos(stored), now)?;
            u64::try_from(next.as_nanos()).ok()
        };
        let slot = self.slots.of(key);
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of `count` at once are let through.
    fn let_through(rate: Gcra, kept: &mut Duration, now: Duration, count: u32) -> usize {
        let once = |_: &u32| rate.spend(*kept, now).map(|next| *kept = next).is_some();
        (0..count).filter(once).count()
    }

    #[test]
    fn a_burst_goes_at_once_and_then_the_rate() {
        let (rate, mut kept) = (Gcra::new(10, 25), Duration::ZERO);
        let mut let_through = |now| let_through(rate, &mut kept, now, 100);
        assert_eq!(let_through(5 * SECOND), 25);
        assert_eq!(let_through(5 * SECOND), 0);
        assert_eq!(let_through(5 * SECOND + SECOND / 10), 1);
        assert_eq!(let_through(6 * SECOND + SECOND / 10), 10);
        assert_eq!(let_through(3600 * SECOND), 25, "no more is saved up");
    }

    #[test]
    fn one_that_is_refused_costs_nothing() {
        let (rate, mut kept) = (Gcra::new(1, 1), Duration::ZERO);
        assert_eq!(let_through(rate, &mut kept, SECOND, 1000), 1);
        assert_eq!(let_through(rate, &mut kept, 2 * SECOND, 1), 1);
    }

    #[test]
    fn whatever_the_numbers_somebody_is_let_through() {
        for (per_second, burst) in [(0, 0), (1, 0), (1, u32::MAX), (3, 3), (7, 7), (u32::MAX, 1)] {
            let (rate, mut kept) = (Gcra::new(per_second, burst), Duration::ZERO);
            let least = burst.clamp(1, 100);
            assert!(let_through(rate, &mut kept, SECOND, least) == least as usize);
        }
    }

    #[test]
    fn instants_serve_as_well() {
        let (rate, now) = (Gcra::new(2, 1), Instant::now());
        let next = rate.spend(now, now).unwrap();
        assert_eq!(next - now, SECOND / 2);
        assert_eq!(rate.spend(next, now), None);
        assert!(rate.spend(next, next).is_some());
    }

    #[test]
    fn keys_have_a_budget_each() {
        let rate = KeyedGcra::new(Gcra::new(10, 10), 32 * 1024);
        let now = rate.began + 5 * SECOND;
        let let_in = |count, now| (0..count).filter(|_| rate.spend("one", now)).count();
        assert_eq!(let_in(30, now), 10);
        assert!(rate.spend("other", now));
        assert_eq!(let_in(30, now + 3 * SECOND / 10), 3);
        assert_eq!(let_in(30, now + 3600 * SECOND), 10);
    }

    #[test]
    fn a_crowd_of_keys_takes_no_memory_and_hardly_keeps_anybody_out() {
        let rate = KeyedGcra::new(Gcra::new(200, 200), 32 * 1024);
        let now = rate.began;
        let refused = (0..50_000_u32).filter(|key| !rate.spend(key, now)).count();
        assert_eq!(refused, 0);
    }
}
