//! What the log lines inside a connection, a request or a WebSocket are about: spans, at debug level.
//!
//! Entered by `server` and `socket`. Where debug lines are off, each of these compares one number and
//! makes nothing; what is passed in is not even formatted.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Request;
use tracing::field::{self, Empty};
use tracing::level_filters::LevelFilter;
use tracing::{Span, debug_span};

/// Numbers the connections of all listeners. Only the log needs it, so it is not handed around.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Of a client's connection.
pub fn connection(peer: impl Display) -> Span {
    let next = || CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    debug_span!("connection", number = next(), %peer, protocol = Empty)
}

/// Of a request, inside of its connection. Never its query or a field of it, which may carry secrets.
pub fn request<B>(request: &Request<B>) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    debug_span!("request", request_id = Empty, trace = Empty, %method, path, upstream = Empty)
}

/// Of a WebSocket that ends here, inside of its request.
pub fn socket() -> Span {
    debug_span!("socket", connection = Empty, user = Empty)
}

/// Tells what the innermost span is about, once that is known.
pub fn record<V: Display>(field: &'static str, value: impl FnOnce() -> V) {
    if is_on() {
        Span::current().record(field, field::display(value()));
    }
}

/// The innermost span, for a task that goes on with what began there.
pub fn current() -> Span {
    if is_on() {
        Span::current()
    } else {
        Span::none()
    }
}

/// Asked first, since to find the innermost span takes longer than all else here.
fn is_on() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}
