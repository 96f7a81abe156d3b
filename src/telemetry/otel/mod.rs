//! Spans that a collector of OpenTelemetry gets: who asked, who was asked for it, and how long that took.
//!
//! Made where a request comes, where a server behind the gateway is asked, and where something is published. They are
//! not those of [`span`](super::span), which name users for the log, and among which libraries have their own: what
//! leaves the gateway is said here word by word. The surprise: without the feature `otel` these types have no
//! size, and their methods compile to nothing.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod export;
mod role;
#[cfg(feature = "otel")]
mod sdk;

use std::time::Duration;

#[cfg(not(feature = "otel"))]
pub use absent::AbsentSpan as RecordedSpan;
#[cfg(not(feature = "otel"))]
use absent::{AbsentPlace as RecordedPlace, AbsentRecorder as Recorder};
#[cfg(feature = "otel")]
pub use sdk::SdkSpan as RecordedSpan;
#[cfg(feature = "otel")]
use sdk::{SdkPlace as RecordedPlace, SdkRecorder as Recorder};

pub use role::SpanRole;

use super::metrics::SpanCounters;
use crate::config::OtelConfig;
use crate::ids::TraceParent;

/// Makes spans, where the environment says where they go. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Recorder>);

/// Where a span is, for one inside of it that begins later.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanPlace(Option<RecordedPlace>);

/// A span, or none. It ends when it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct TraceSpan(Option<RecordedSpan>);

impl Tracer {
    /// Sends spans where the environment says, and counts them. Says in the log why it cannot.
    pub fn build(config: &OtelConfig, counters: &SpanCounters) -> Self {
        for finding in &config.findings {
            tracing::warn!("{finding}");
        }
        if !config.is_wanted {
            return Self::default();
        }
        match Recorder::build(config, counters) {
            Ok(recorder) => Self(Some(recorder)),
            Err(error) => {
                tracing::warn!(%error, "spans cannot be sent as the environment says (OTEL_…): none are sent");
                Self::default()
            }
        }
    }

    /// Begins a span inside of the one at `parent`, or a trace of its own.
    pub fn start(
        &self,
        role: SpanRole,
        name: &'static str,
        parent: Option<TraceParent>,
    ) -> TraceSpan {
        let recorder = self.0.as_ref();
        TraceSpan(recorder.map(|recorder| recorder.start(role, name, parent)))
    }

    /// Remembers a place, where spans are made.
    pub fn place(&self, trace: TraceParent) -> SpanPlace {
        SpanPlace(self.0.as_ref().map(|recorder| recorder.place(trace)))
    }

    /// Sends what is left, for no longer than this; later spans are lost. Blocks.
    pub fn end(&self, limit: Duration) {
        if let Some(recorder) = &self.0 {
            recorder.end(limit);
        }
    }

    /// Whether spans are sent at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl SpanPlace {
    /// As `traceparent` has it.
    pub fn trace(self) -> Option<TraceParent> {
        self.0.map(RecordedPlace::trace)
    }
}

impl TraceSpan {
    /// Where it is, for those who go on with it; `None` where no spans are made.
    pub fn place(&self) -> Option<TraceParent> {
        self.0.as_ref().map(RecordedSpan::place)
    }

    /// Whether it will be sent.
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(RecordedSpan::is_recorded)
    }

    /// Says more of it, if it will be sent.
    pub fn describe(&mut self, describe: impl FnOnce(&mut RecordedSpan)) {
        if let Some(span) = self.0.as_mut().filter(|span| span.is_recorded()) {
            describe(span);
        }
    }
}

#[cfg(all(test, not(feature = "otel")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_in_takes_no_room() {
        assert_eq!(size_of::<(Tracer, TraceSpan, SpanPlace)>(), 0);
    }
}
