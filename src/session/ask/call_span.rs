//! The spans of calls to Django about sessions.
//!
//! Used by `client`. A call for one handshake is inside of that handshake's span, where it began: others that wait for
//! the same answer have it in the time that they take. A batch is of many handshakes, so it is a trace of its own, with a
//! link to each; so is a call that no handshake is waiting for.

use crate::ids::TraceParent;
use crate::session::ask::auth_view::AuthCall;
use crate::session::ask::batch::Together;
use crate::telemetry::otel::{SpanRole, TraceSpan, Tracer};

pub(in crate::session) struct AuthSpan(TraceSpan);

impl AuthSpan {
    /// Of a call about one session.
    pub(in crate::session) fn one(tracer: &Tracer, call: &AuthCall<'_>) -> Self {
        let mut span = tracer.start(SpanRole::Client, "auth call", call.trace);
        span.describe(|span| span.text("http.request.method", "GET"));
        Self(span)
    }

    /// Of a call about several.
    pub(in crate::session) fn several(tracer: &Tracer, question: &Together<'_>) -> Self {
        let count = question.asked.len();
        let Self(mut span) = Self::batch(tracer, "gatepost.sessions", count);
        span.describe(|span| {
            let places = question.asked.iter().filter_map(|asked| asked.trace);
            places.for_each(|place| span.link(place));
        });
        Self(span)
    }

    /// Of a call about topics.
    pub(in crate::session) fn topics(tracer: &Tracer, count: usize) -> Self {
        Self::batch(tracer, "gatepost.topics", count)
    }

    fn batch(tracer: &Tracer, of: &'static str, count: usize) -> Self {
        let mut span = tracer.start(SpanRole::Client, "auth batch", None);
        span.describe(|span| {
            span.text("http.request.method", "POST");
            span.number(of, count);
        });
        Self(span)
    }

    /// What the call says in `traceparent`.
    pub(in crate::session) fn place(&self) -> Option<TraceParent> {
        self.0.place()
    }

    /// Ends it; the outcome is that of the metrics.
    pub(in crate::session) fn ended(mut self, outcome: &'static str) {
        self.0.describe(|span| {
            span.text("gatepost.outcome", outcome);
            if matches!(outcome, "unreachable" | "misconfigured") {
                span.fail(outcome);
            }
        });
    }
}
