//! What becomes of spans, where they are sent to a collector.
//!
//! Known to the rest by `metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::OutcomeLabel;

/// Spans that have ended, by outcome.
#[derive(Clone, Debug)]
pub struct SpanCounters {
    /// The collector took them.
    pub exported: Counter,
    /// It could not be reached, or did not take them.
    pub failed: Counter,
    /// Too many waited for being sent.
    pub dropped: Counter,
    all: Family<OutcomeLabel, Counter>,
}

impl Default for SpanCounters {
    fn default() -> Self {
        let all = Family::<OutcomeLabel, Counter>::default();
        let of = |outcome| all.get_or_create_owned(&OutcomeLabel { outcome });
        Self {
            exported: of("exported"),
            failed: of("failed"),
            dropped: of("dropped"),
            all,
        }
    }
}

impl SpanCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "spans",
            "Spans for a collector of OpenTelemetry, by outcome",
            self.all.clone(),
        );
    }
}
