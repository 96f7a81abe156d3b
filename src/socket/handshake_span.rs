//! The span of a handshake: from the checks that it passed to what becomes of it, which may be after its 101.
//!
//! Used by the handshake. The call that asks Django about it is inside.

use super::accept::HandshakeError;
use super::outcome::{Outcome, Settled};
use super::pending_handshake::{Arrival, Decision};
use super::visitors::Attendance;
use crate::telemetry::otel::{SpanRole, TraceSpan, Tracer};

pub(super) struct HandshakeSpan(TraceSpan);

impl HandshakeSpan {
    /// Begins it. What goes on with this handshake is inside.
    pub(super) fn begin(tracer: &Tracer, path: &str, came: &mut Arrival) -> Self {
        let parent = Some(came.name.trace);
        let mut span = tracer.start(SpanRole::Internal, "handshake", parent);
        came.name.trace = span.place().unwrap_or(came.name.trace);
        span.describe(|span| span.text("http.route", path.to_owned()));
        Self(span)
    }

    /// Ends it with the decision, or goes along until there is one.
    pub(super) fn decided(
        mut self,
        decided: Result<Decision, HandshakeError>,
    ) -> Result<Decision, HandshakeError> {
        match decided {
            Ok(Decision::Later(judging)) if self.0.is_recorded() => {
                Ok(Decision::Later(Box::pin(async move {
                    let settled = judging.await;
                    self.settled(&settled);
                    settled
                })))
            }
            Ok(Decision::Now(settled)) => {
                self.settled(&settled);
                Ok(Decision::Now(settled))
            }
            Err(error) => {
                self.0.describe(|span| span.fail(error.label()));
                Err(error)
            }
            later @ Ok(Decision::Later(_)) => later,
        }
    }

    fn settled(&mut self, settled: &Settled) {
        self.0.describe(|span| match &settled.outcome {
            Outcome::Echo => span.text("gatepost.outcome", "echo"),
            Outcome::Serve { joined, .. } => {
                let outcome = match joined {
                    Attendance::Session(_) => "accepted",
                    Attendance::Visitor(_) => "visitor",
                };
                span.text("gatepost.outcome", outcome);
            }
            Outcome::Close(reason) | Outcome::StayAway(reason, _) => {
                span.text("gatepost.outcome", "closed");
                span.number("gatepost.close_code", reason.code());
            }
        });
    }
}
