//! The access log: one line a request, where `log.access` asks for it.
//!
//! A record is made by `dispatch` and `plain` when a request comes, goes into the body of its answer, and is
//! written when that ends: by being dropped, so that a request whose client left before the answer has its
//! line too.

mod line;
mod writer;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::request_span;
use crate::ids::RequestName;
use crate::telemetry::otel::TraceSpan;
use crate::unix_time;
use crate::web::body::{BodyError, ResponseBody, Unending};
use crate::web::client::Client;
use crate::web::upstream_time::UpstreamTime;
use line::{Ending, LoggedRequest};
pub use writer::{AccessLog, AccessLogError, AccessWriter};

/// The status of a request whose client left before its answer; nginx's.
const CLIENT_LEFT: u16 = 499;

/// A request that is answered here, its span, and its record where there is an access log.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) name: RequestName,
    pub(super) span: TraceSpan,
    record: Option<Box<AccessRecord>>,
}

/// A request, until its answer has ended.
#[derive(Debug)]
struct AccessRecord {
    log: AccessLog,
    request: LoggedRequest,
    begun: Instant,
    upstream_time: UpstreamTime,
    status: Option<StatusCode>,
    bytes: u64,
}

impl Tracked {
    /// One without a record.
    pub(super) fn named(name: RequestName, span: TraceSpan) -> Self {
        let record = None;
        Self { name, span, record }
    }

    /// Begins its record.
    #[must_use]
    pub(super) fn logged<B>(self, to: &AccessLog, request: &Request<B>, client: &Client) -> Self {
        let record = AccessRecord {
            log: to.clone(),
            request: LoggedRequest::of(request, client, self.name),
            begun: Instant::now(),
            upstream_time: UpstreamTime::measured(),
            status: None,
            bytes: 0,
        };
        let record = Some(Box::new(record));
        Self { record, ..self }
    }

    /// To be measured by who asks an upstream.
    pub(super) fn upstream_time(&self) -> UpstreamTime {
        let record = self.record.as_ref();
        record.map_or_else(UpstreamTime::default, |record| record.upstream_time.clone())
    }

    /// The answer, which keeps the record and the span until it has ended; of one without an end of its own, the span
    /// ends with the head.
    pub(super) fn answered(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        self.span
            .describe(|span| request_span::answered(span, status));
        let ends = response.extensions().get::<Unending>().is_none();
        let span = Some(self.span).filter(|span| ends && span.is_recorded());
        let response = response.map(|body| body.keeping(span));
        let Some(mut record) = self.record else {
            return response;
        };
        record.status = Some(response.status());
        response.map(|body| ResponseBody::stream(LoggedBody { body, record }))
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let ending = Ending {
            status: self.status.map_or(CLIENT_LEFT, |status| status.as_u16()),
            bytes: self.bytes,
            ms: unix_time::milliseconds(self.begun.elapsed()),
            upstream_ms: self.upstream_time.milliseconds(),
        };
        self.log.write(self.request.line(ending, self.log.form()));
    }
}

/// A body whose bytes are counted.
struct LoggedBody {
    body: ResponseBody,
    record: Box<AccessRecord>,
}

impl Body for LoggedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
