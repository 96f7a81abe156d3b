//! Connections that are responses: the same frames over the same hub, without a WebSocket.
//!
//! `answer` takes a request at a socket route from its checks to a response, whose `body` is the connection and
//! writes in a `form`; `return_time` says when a client is to come back. There is no task. hyper asks the body
//! for more when its client takes it, and drops it when the client has left.

mod answer;
mod body;
mod description;
mod form;
mod hand_over;
mod hand_over_error;
mod return_time;
mod vouched;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};

use crate::close::CloseReason;
use crate::web::body::{ResponseBody, Unending};
use crate::web::headers::accepts;
use crate::web::request::Downstream;
pub(super) use form::StreamForm;
pub use hand_over::HandedOver;
pub use vouched::HandedRequest;

/// What a browser got last of the stream that it comes back to.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::description::Description;
    use crate::hub::Item;

    /// What Django describes: everything of it can be written.
    pub fn describe(body: &[u8]) {
        let Ok(description) = Description::decode(body) else {
            return;
        };
        let form = description.form;
        for one in description.first {
            let written = form.write(&Item::first(one.content, one.event));
            assert!(written.is_some_and(|written| written.ends_with(b"\n")));
        }
    }
}

/// Whether a request at a socket route asks for a stream in place of a WebSocket.
pub(super) fn is_asked_for<B>(request: &Request<B>, downstream: &Downstream) -> bool {
    *request.method() == Method::GET
        && !downstream.upgrade.is_websocket()
        && accepts(request.headers(), StreamForm::Events.media_type())
}

/// Says what a response is, and that no cache may store it or hold it back until its end.
fn describe(form: StreamForm, fields: &mut HeaderMap) {
    let kind = HeaderValue::from_static(form.media_type());
    fields.insert(header::CONTENT_TYPE, kind);
    let no_store = HeaderValue::from_static("no-store");
    fields.insert(header::CACHE_CONTROL, no_store);
    fields.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// A stream that goes on.
fn started(form: StreamForm, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    describe(form, response.headers_mut());
    response.extensions_mut().insert(Unending);
    response
}

/// A stream that says when to come back, and ends.
fn come_back(form: StreamForm, reason: &CloseReason) -> Response<ResponseBody> {
    let text = form.come_back(return_time::after(reason));
    let mut response = Response::new(ResponseBody::full(text));
    describe(form, response.headers_mut());
    response
}
