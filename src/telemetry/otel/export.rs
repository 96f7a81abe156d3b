//! How spans leave: in batches, from a queue with an end, by a thread of the SDK's own. No request waits for it.
//!
//! Used by `sdk`, which batches and sends; here spans are counted, and the log hears of failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::config::OtelConfig;
use crate::telemetry::metrics::SpanCounters;
use crate::telemetry::seldom::Seldom;

/// Between two lines of the log about spans that were not sent.
const SAID_EVERY: Duration = Duration::from_mins(5);

/// Takes spans until its queue is full.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    most: usize,
    counters: SpanCounters,
}

/// Sends batches, and tells how that goes.
#[derive(Debug)]
struct ReportingExporter {
    otlp: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    counters: SpanCounters,
    faults: Seldom,
}

impl BoundedProcessor {
    pub(super) fn build(
        config: &OtelConfig,
        counters: &SpanCounters,
    ) -> Result<Self, ExporterBuildError> {
        let otlp = opentelemetry_otlp::SpanExporter::builder().with_http();
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = ReportingExporter {
            otlp: otlp.build()?,
            waiting: Arc::clone(&waiting),
            counters: counters.clone(),
            faults: Seldom::new(SAID_EVERY),
        };
        let queue = BatchConfigBuilder::default().with_max_queue_size(config.queue);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(queue.build());
        Ok(Self {
            batches: batches.build(),
            waiting,
            most: config.queue,
            counters: counters.clone(),
        })
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // The SDK has the same limit, but tells nobody of what it drops.
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            self.batches.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counters.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

impl SpanExporter for ReportingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let sent = self.otlp.export(batch).await;
        let counter = match &sent {
            Ok(()) => &self.counters.exported,
            Err(_) => &self.counters.failed,
        };
        counter.inc_by(count as u64);
        // Its text is the SDK's: a status, or that there was none. What the collector said is not in it.
        if let Err(error) = &sent
            && self.faults.is_due()
        {
            tracing::warn!(%error, spans = count, "spans could not be sent, and are lost; gatepost_spans_total counts on");
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
