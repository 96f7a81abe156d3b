//! Counts answers by what became of their requests.
//!
//! Used by `dispatch` for each; the counters are looked up once.

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;

use crate::telemetry::metrics::{Metrics, OutcomeLabel};

/// One counter for each outcome.
#[derive(Debug)]
pub(super) struct OutcomeCounters {
    ok: Counter,
    client_error: Counter,
    server_error: Counter,
}

impl OutcomeCounters {
    /// Those of `metrics`, which show zeros from now on.
    pub(super) fn of(metrics: &Metrics) -> Self {
        let of = |outcome| {
            let label = OutcomeLabel { outcome };
            metrics.requests.get_or_create_owned(&label)
        };
        Self {
            ok: of("ok"),
            client_error: of("client_error"),
            server_error: of("server_error"),
        }
    }

    /// A request was answered so.
    pub(super) fn count(&self, status: StatusCode) {
        let counter = match status.as_u16() {
            100..400 => &self.ok,
            400..500 => &self.client_error,
            _ => &self.server_error,
        };
        counter.inc();
    }
}
