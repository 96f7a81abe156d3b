//! How long an upstream took for the head of its answer, where somebody wants to know.
//!
//! Asked for by the access log, measured by `proxy`. Without the log no clock is read.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::unix_time;

/// Measures once; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTime(Option<Arc<OnceLock<Duration>>>);

impl UpstreamTime {
    /// To be measured.
    pub fn measured() -> Self {
        Self(Some(Arc::default()))
    }

    /// The upstream is asked; it has answered, or is waited for no more, when this is dropped.
    pub fn begin(&self) -> Option<Measured<'_>> {
        let time = self.0.as_ref()?;
        let begun = Instant::now();
        Some(Measured { time, begun })
    }

    /// The time; `None`: nobody was asked.
    pub fn milliseconds(&self) -> Option<u64> {
        let time = self.0.as_ref()?.get()?;
        Some(unix_time::milliseconds(*time))
    }
}

/// An upstream that is waited for.
#[derive(Debug)]
pub struct Measured<'a> {
    time: &'a OnceLock<Duration>,
    begun: Instant,
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        // Asked again, the first answer counts.
        let _ = self.time.set(self.begun.elapsed());
    }
}
