//! The fields that say which trace a request is a part of (W3C Trace Context).
//!
//! Read by `server` when a request comes; written by `proxy` and by who asks Django about a session.

use http::{HeaderMap, HeaderName, Method};

use crate::ids::TraceParent;

/// Names the trace, and the place in it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What systems of tracing add for each other.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that the client names. Where it names none, or none that is valid, what it says of its state
/// counts as little.
pub fn named(headers: &mut HeaderMap) -> Option<TraceParent> {
    let named = of(headers);
    if named.is_none() {
        headers.remove(TRACESTATE);
    }
    named
}

/// The trace that a caller names.
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (fields.next(), fields.next());
    let alone = first.filter(|_| second.is_none());
    alone.and_then(|field| TraceParent::parse(field.as_bytes()))
}

/// A method as spans have it. One that a client makes up is not told: a collector keeps each name.
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}
