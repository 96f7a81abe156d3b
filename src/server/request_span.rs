//! What a collector of spans is told of a request, by OpenTelemetry's semantic conventions for HTTP, and what it never
//! is: its query, its fields, who sent it.
//!
//! Used by `dispatch` and `plain`.

use http::{HeaderValue, Method, Request, StatusCode, Version};

use super::route::Route;
use crate::ids::RequestId;
use crate::telemetry::otel::RecordedSpan;
use crate::web::admit;
use crate::web::trace::method_name;

/// Characters of a path.
const LONGEST_PATH: usize = 2048;

/// What is known when it comes.
pub(super) fn came<B>(span: &mut RecordedSpan, request: &Request<B>, id: RequestId) {
    let method = method_name(request.method());
    span.rename(method.to_owned());
    span.text("http.request.method", method);
    span.text("url.path", path(request.uri().path()));
    span.text("network.protocol.version", version(request.version()));
    span.text("gatepost.request_id", id.to_string());
}

/// What answers it. A host is told only when it is known to be one of the origin's.
pub(super) fn routed(span: &mut RecordedSpan, route: &Route, method: &Method, host: &HeaderValue) {
    if let Ok((name, _port)) = admit::split(host) {
        span.text("server.address", name.to_owned());
    }
    let path = match route {
        Route::Socket(socket) => Some(&*socket.path),
        Route::Folder { prefix, .. } => Some(prefix.as_str()),
        Route::Upstream(upstream) => {
            span.text("gatepost.upstream", upstream.name().to_owned());
            None
        }
        Route::Internal | Route::Reserved => None,
    };
    if let Some(path) = path {
        span.rename(format!("{} {path}", method_name(method)));
        span.text("http.route", path.to_owned());
    }
}

/// How it was answered.
pub(super) fn answered(span: &mut RecordedSpan, status: StatusCode) {
    span.number("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

fn path(path: &str) -> String {
    // A path is ASCII, but for what hyper lets through.
    path.chars().take(LONGEST_PATH).collect()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
