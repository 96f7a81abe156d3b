//! The span of what is published together: by one call, on one answer of Django's, from one page of the transactional
//! outbox. It tells how far that got; not to whom, and not what.
//!
//! Used by `api`, `piggyback` and `puller`.

use crate::broker::Receipt;
use crate::ids::TraceParent;
use crate::telemetry::otel::{SpanPlace, SpanRole, TraceSpan, Tracer};

pub(super) struct PublicationSpan {
    span: TraceSpan,
    published: usize,
    duplicates: usize,
    refused: usize,
    sockets: usize,
    offline: usize,
}

impl PublicationSpan {
    /// Of a call, which may say where in a trace it is.
    pub(super) fn of_call(tracer: &Tracer, caller: Option<TraceParent>) -> Self {
        Self::begin(tracer.start(SpanRole::Server, "publish", caller), "call")
    }

    /// Of what comes on an answer.
    pub(super) fn of_answer(tracer: &Tracer, request: SpanPlace) -> Self {
        let span = tracer.start(SpanRole::Internal, "publish", request.trace());
        Self::begin(span, "answer")
    }

    /// Of a page of the transactional outbox.
    pub(super) fn of_outbox(tracer: &Tracer) -> Self {
        Self::begin(tracer.start(SpanRole::Internal, "publish", None), "outbox")
    }

    fn begin(mut span: TraceSpan, source: &'static str) -> Self {
        span.describe(|span| span.text("gatepost.source", source));
        Self {
            span,
            published: 0,
            duplicates: 0,
            refused: 0,
            sockets: 0,
            offline: 0,
        }
    }

    /// One more.
    pub(super) fn published(&mut self, receipt: &Receipt) {
        if !self.span.is_recorded() {
            return;
        }
        if receipt.duplicate {
            self.duplicates += 1;
            return;
        }
        self.published += 1;
        self.sockets += receipt.delivery.sockets;
        self.offline += receipt.delivery.offline;
    }

    /// One that could not be taken.
    pub(super) fn refused(&mut self) {
        self.refused += 1;
    }
}

impl Drop for PublicationSpan {
    fn drop(&mut self) {
        let counts = [
            ("gatepost.publications", self.published),
            ("gatepost.duplicates", self.duplicates),
            ("gatepost.refused", self.refused),
            ("gatepost.sockets", self.sockets),
            ("gatepost.offline", self.offline),
        ];
        self.span.describe(|span| {
            for (key, count) in counts {
                span.number(key, count);
            }
        });
    }
}
