//! The span of a request as its upstream gets it, which the upstream's own spans are inside of.
//!
//! Used by `forward`. It lasts from the moment it is sent, or held for a server that restarts, to the head of the answer;
//! sent again, it is still one.

use http::{Request, Response};

use super::error::ForwardFailure;
use super::upload::Upload;
use crate::telemetry::otel::{SpanRole, TraceSpan};
use crate::web::body::ResponseBody;
use crate::web::headers;
use crate::web::request::Downstream;
use crate::web::trace::{TRACEPARENT, method_name};

/// What becomes of a request.
type CallOutcome = Result<Response<ResponseBody>, ForwardFailure>;

pub(super) struct CallSpan(TraceSpan);

impl CallSpan {
    /// Begins one, which the request then names.
    pub(super) fn begin(
        request: &mut Request<Upload>,
        downstream: &Downstream,
        upstream: &str,
    ) -> Self {
        let parent = Some(downstream.trace);
        let tracer = &downstream.tracer;
        let mut span = tracer.start(SpanRole::Client, "forward", parent);
        if let Some(place) = span.place() {
            headers::set(request.headers_mut(), TRACEPARENT, &place);
        }
        span.describe(|span| {
            let method = method_name(request.method());
            span.rename(method.to_owned());
            span.text("http.request.method", method);
            span.text("gatepost.upstream", upstream.to_owned());
        });
        Self(span)
    }

    /// Ends it with what came.
    pub(super) fn ended(mut self, answered: CallOutcome) -> CallOutcome {
        self.0.describe(|span| match &answered {
            Ok(response) => {
                let status = response.status();
                span.number("http.response.status_code", status.as_u16());
                if status.is_client_error() || status.is_server_error() {
                    span.fail(status.as_str().to_owned());
                }
            }
            Err(failure) => span.fail(failure.code()),
        });
        answered
    }
}
