//! What is told of what is kept of publications.
//!
//! Known to the rest by `metrics`.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What is kept of what was published, for clients that come back.
#[derive(Clone, Debug, Default)]
pub struct HistoryMetrics {
    /// As `delivery.history_size` counts.
    pub bytes: Gauge,
    /// A publication counts once for each audience that it is kept for.
    pub frames: Gauge,
}

impl HistoryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("history");
        r.register(
            "bytes",
            "What is kept of what was published, as delivery.history_size counts",
            self.bytes.clone(),
        );
        r.register(
            "frames",
            "How many publications are kept, each once for every audience",
            self.frames.clone(),
        );
    }
}
