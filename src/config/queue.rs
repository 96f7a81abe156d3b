//! `concurrency`, `queue` and `queue_timeout` of `[django]`: how many requests are at Django at once, and
//! what becomes of the rest.

use std::time::Duration;

use super::kind::DURATION;
use super::section::Section;

/// Places at Django, and who waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Requests at Django at once; `None`: any number, and none waits.
    pub concurrency: Option<usize>,
    /// How many more may wait.
    pub length: usize,
    /// How long one waits.
    pub timeout: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            concurrency: None,
            length: 1000,
            timeout: Duration::from_secs(10),
        }
    }
}

impl QueueConfig {
    /// Reads the keys.
    ///
    /// What is known of the server that runs Django stands in for a number that is not given.
    pub(super) fn read(section: &mut Section<'_, '_>, known: Option<usize>) -> Self {
        let default = Self::default();
        let concurrency = section.count("concurrency", 0..=10_000);
        Self {
            concurrency: concurrency.filter(|places| *places > 0).or(known),
            length: section
                .count("queue", 0..=100_000)
                .unwrap_or(default.length),
            timeout: section
                .value("queue_timeout", &DURATION)
                .unwrap_or(default.timeout),
        }
    }
}
