//! Log lines that a crowd or a lasting fault would repeat: said once, or once in a while.
//!
//! A caller asks here before it logs, and logs the rest at debug level or not at all.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Says a thing at most once in a time.
#[derive(Debug)]
pub struct Seldom {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    /// At most once in `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: Mutex::new(None),
        }
    }

    /// Whether to say it now; it counts as said from here on.
    pub fn is_due(&self) -> bool {
        let mut last = self.last.lock();
        let is_due = last.is_none_or(|last| last.elapsed() >= self.interval);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// Says a thing once.
#[derive(Debug, Default)]
pub struct Once(AtomicBool);

impl Once {
    /// Returns whether it was not said yet; it counts as said from here on.
    pub fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// Says each of many things once.
#[derive(Debug)]
pub struct OncePerKey<K> {
    most: usize,
    said: Mutex<HashSet<K>>,
}

impl<K: Eq + Hash> OncePerKey<K> {
    /// At most `most` things: where clients choose the key they cannot fill the log, or memory.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            said: Mutex::default(),
        }
    }

    /// Whether this was not said yet; it counts as said from here on.
    pub fn is_first(&self, key: K) -> bool {
        let mut said = self.said.lock();
        said.len() < self.most && said.insert(key)
    }
}

/// Says what is wrong when that changes.
#[derive(Debug, Default)]
pub struct OnChange(Option<String>);

impl OnChange {
    /// Whether this differs from what was said last.
    pub fn is_news(&mut self, fault: &str) -> bool {
        let is_news = self.0.as_deref() != Some(fault);
        if is_news {
            self.0 = Some(fault.to_owned());
        }
        is_news
    }

    /// Nothing is wrong any more. Returns whether something was.
    pub fn is_mended(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thing_is_said_again_when_its_time_is_over() {
        let seldom = Seldom::new(Duration::from_secs(10));
        assert!(seldom.is_due());
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(!seldom.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seldom.is_due());
    }

    #[test]
    fn each_key_is_said_once_and_no_more_than_there_may_be() {
        let once = OncePerKey::new(2);
        let said = ["a", "a", "b", "c", "a"].map(|key| once.is_first(key));
        assert_eq!(said, [true, false, true, false, false]);
        let once = Once::default();
        assert!(once.is_first() && !once.is_first());
    }

    #[test]
    fn a_fault_is_said_when_it_changes_and_when_it_comes_back() {
        let mut faults = OnChange::default();
        assert!(!faults.is_mended());
        assert!(faults.is_news("a") && !faults.is_news("a") && faults.is_news("b"));
        assert!(faults.is_mended() && faults.is_news("b"));
    }
}
