//! What a request is called, in the log, towards Django and in traces; and its span.
//!
//! Used by `dispatch`. Where spans are made, what goes on from here is inside of the request's own; else it is where the
//! client says, or in a trace that nothing here records.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Request;

use super::access::Tracked;
use super::request_span;
use crate::ids::{NodeId, RequestId, RequestName, TraceSource};
use crate::telemetry::otel::{SpanRole, Tracer};
use crate::telemetry::span;
use crate::web::trace;

/// Names requests.
#[derive(Debug)]
pub(super) struct RequestNames {
    node: NodeId,
    requests: AtomicU64,
    traces: TraceSource,
    tracer: Tracer,
}

impl RequestNames {
    pub(super) fn new(tracer: Tracer) -> Self {
        Self {
            node: NodeId::random(),
            requests: AtomicU64::new(1),
            traces: TraceSource::random(),
            tracer,
        }
    }

    /// Names one that comes.
    pub(super) fn name<B>(&self, request: &mut Request<B>) -> Tracked {
        let sequence = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = RequestId::new(self.node, sequence);
        let named = trace::named(request.headers_mut());
        let mut span = self.tracer.start(SpanRole::Server, "HTTP", named);
        span.describe(|span| request_span::came(span, request, id));
        let trace = span.place().or(named);
        let trace = trace.unwrap_or_else(|| self.traces.trace(sequence));
        span::record("request_id", || id);
        span::record("trace", || trace.trace());
        Tracked::named(RequestName { id, trace }, span)
    }

    /// For those who make spans inside of a request's.
    pub(super) fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }
}
