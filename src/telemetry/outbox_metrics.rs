//! What is counted of the transactional outbox.
//!
//! Known to the rest by `metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::OutcomeLabel;

/// What the puller of the transactional outbox does.
#[derive(Debug, Default)]
pub struct OutboxMetrics {
    /// Pulls by outcome: `ok`, `unreachable`, `refused`.
    pub pulls: Family<OutcomeLabel, Counter>,
    /// Items by outcome: `published`, `revoked`, `rechecked`, `skipped`, `refused`, `unknown`.
    pub items: Family<OutcomeLabel, Counter>,
    /// How often clients were told to fetch again.
    pub resyncs: Counter,
    /// The number of the last item that was taken.
    pub position: Gauge,
    /// How old the last item was when it was taken, in seconds.
    pub lag: Gauge<f64, AtomicU64>,
}

impl OutboxMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("outbox");
        r.register(
            "pulls",
            "Pulls of the transactional outbox by outcome",
            self.pulls.clone(),
        );
        r.register(
            "items",
            "Items of the transactional outbox by outcome",
            self.items.clone(),
        );
        r.register(
            "resyncs",
            "How often clients were told to fetch again",
            self.resyncs.clone(),
        );
        r.register(
            "position",
            "The number of the last item taken from the transactional outbox",
            self.position.clone(),
        );
        r.register(
            "lag_seconds",
            "How old the last item of the transactional outbox was when it was taken",
            self.lag.clone(),
        );
    }
}
