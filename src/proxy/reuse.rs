//! Which requests may be sent again, and which connections used again.
//!
//! Asked by `forward`. The surprise: a connection that the upstream closes in the very moment a
//! request is written to it cannot be told from one that died over the request.

use std::io;
use std::time::Duration;

use http::{HeaderName, Method, Request, Response, StatusCode, Version, header};
use hyper::client::conn::TrySendError;

use super::abandoned::Abandoned;
use super::pool::IDLE_LIMIT;
use super::queue::QueuePlace;
use super::streamed::UploadProgress;
use super::upload::Upload;
use super::upstream::Reuse;
use crate::web::headers;

/// For a request that can be sent again: any connection will do.
pub(super) const ANY: Reuse = Reuse::Within(LONGEST_IDLE);
/// For all others: a new connection, or one that was used this very moment.
pub(super) const FRESH: Reuse = Reuse::Within(Duration::from_millis(200));
/// `Keep-Alive: timeout` is honoured up to here.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Whether sending it twice does no harm and is possible.
pub(super) fn is_repeatable(request: &Request<Upload>) -> bool {
    let harmless = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    );
    harmless && matches!(request.body(), Upload::Empty)
}

/// The same request without a body.
pub(super) fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The request to send once more: the one that hyper gives back where nothing of it was written, else
/// `spare`. Not where the upstream answered with something that is not HTTP: it has read the request.
pub(super) fn again(
    error: &mut TrySendError<Request<Upload>>,
    spare: Option<Request<Upload>>,
) -> Option<Request<Upload>> {
    let unwritten = error.take_message();
    unwritten.or_else(|| spare.filter(|_| !error.error().is_parse()))
}

/// Whether nobody read the request. On a new connection a repeatable request is sent once more only,
/// for it may be what kills the server. A server that dies over a request has read it, and its connection
/// is then closed; a connection with bytes that nobody has read is reset: it was waiting to be accepted.
pub(super) fn was_unread(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::ConnectionReset;
        }
        cause = error.source();
    }
    false
}

/// What is known of a request that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// How far its body has come, where it is streamed.
    pub(super) progress: Option<UploadProgress>,
    /// Its place at the upstream, where it needs one.
    pub(super) place: Option<QueuePlace>,
    /// Goes on with it, to the end of its answer, where its client leaves.
    pub(super) goes_on: Option<Abandoned>,
    body: SentBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SentBody {
    Some,
    None,
}

impl Sent {
    /// Reads it off the body.
    pub(super) fn of(body: &Upload, place: Option<QueuePlace>, goes_on: Option<Abandoned>) -> Self {
        Self {
            place,
            goes_on,
            progress: body.progress(),
            body: match body {
                Upload::Empty => SentBody::None,
                _ => SentBody::Some,
            },
        }
    }

    /// Whether its body, if it had one, was surely read. A server that refuses an upload often does not
    /// read it, and closes the connection somewhat later (gunicorn).
    pub(super) fn was_heard(&self, status: StatusCode) -> bool {
        let all = self.progress.as_ref().is_none_or(UploadProgress::is_done);
        let refused = status.is_client_error() || status.is_server_error();
        all && !(refused && self.body == SentBody::Some)
    }
}

/// How long the connection may idle after this answer; zero where it must not be used again.
pub(super) fn idle_limit<B>(response: &Response<B>) -> Duration {
    let fields = response.headers();
    if response.version() != Version::HTTP_11
        || headers::has_token(fields, &header::CONNECTION, "close")
    {
        return Duration::ZERO;
    }
    let Some(promise) = fields.get(KEEP_ALIVE).and_then(|value| value.to_str().ok()) else {
        return IDLE_LIMIT;
    };
    let seconds = promise
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout="))
        .and_then(|seconds| seconds.parse().ok());
    // Half a second for the request that is on its way when the upstream's time is up.
    seconds.map_or(IDLE_LIMIT, |seconds| {
        Duration::from_secs(seconds)
            .saturating_sub(Duration::from_millis(500))
            .min(LONGEST_IDLE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(version: Version, fields: &[(&str, &str)]) -> Duration {
        let mut builder = Response::builder().version(version);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        idle_limit(&builder.body(()).unwrap())
    }

    #[test]
    fn a_connection_is_kept_as_long_as_the_upstream_lets_us() {
        let (new, old) = (Version::HTTP_11, Version::HTTP_10);
        assert_eq!(answered(new, &[]), IDLE_LIMIT);
        assert_eq!(answered(old, &[]), Duration::ZERO);
        assert_eq!(answered(new, &[("connection", "x, Close")]), Duration::ZERO);
        assert_eq!(
            answered(new, &[("keep-alive", "timeout=5, max=9")]),
            Duration::from_millis(4500)
        );
        assert_eq!(
            answered(new, &[("keep-alive", "timeout=0")]),
            Duration::ZERO
        );
        assert_eq!(
            answered(new, &[("keep-alive", "timeout=86400")]),
            LONGEST_IDLE
        );
        assert_eq!(answered(new, &[("keep-alive", "timeout=soon")]), IDLE_LIMIT);
    }
}
