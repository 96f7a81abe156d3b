//! Lets one more part read, and add to, what passes between browsers and one upstream.
//!
//! Called by `forward`; `django` is the only such part so far. An answer is shown before its head goes to
//! the browser, and also where the browser has left, so that nothing it says to the gateway is lost.

use std::any::Any;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};

use super::queue::{RequestQueue, Requester};
use crate::telemetry::otel::SpanPlace;
use crate::web::request::Downstream;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Sees every request to one upstream and every answer of it.
pub trait Intercept: Debug + Send + Sync {
    /// Where a request is to wait for a place, and as which requester.
    fn queue(
        &self,
        fields: &HeaderMap,
        downstream: &Downstream,
    ) -> Option<(&RequestQueue, Requester)>;

    /// Adds to a request, whose head is otherwise what is sent. Called again where it is sent again.
    fn outgoing(&self, request: Outgoing<'_>, downstream: &Downstream);

    /// Reads an answer's head before it is made fit for a browser. Must not block. What is given back is
    /// kept until the answer was passed on.
    fn incoming(
        &self,
        asked: &RequestSummary,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<PassedOn>;
}

/// Dropped when an answer was handed to its client's connection whole, or never will be.
#[derive(Clone)]
pub struct PassedOn(#[expect(dead_code, reason = "kept to be dropped")] Arc<dyn Any + Send + Sync>);

impl PassedOn {
    /// Keeps this until then.
    pub fn drops(kept: impl Send + Sync + 'static) -> Self {
        Self(Arc::new(kept))
    }
}

/// A request that is about to be sent.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path and query.
    pub uri: &'a Uri,
    /// Its fields.
    pub fields: &'a mut HeaderMap,
}

/// What is remembered of a request until its answer comes.
#[derive(Clone, Debug)]
pub struct RequestSummary {
    /// When it was sent.
    pub at: Instant,
    /// Its path and query.
    pub uri: Uri,
    /// The authority, as the browser wrote it.
    pub host: HeaderValue,
    /// The client.
    pub address: IpAddr,
    /// Its `Cookie` field.
    pub cookies: Option<HeaderValue>,
    /// Its `User-Agent` field.
    pub user_agent: Option<HeaderValue>,
    /// Its `Accept-Language` field.
    pub accept_language: Option<HeaderValue>,
    /// Its `Origin` field.
    pub origin: Option<HeaderValue>,
    /// For what.
    pub purpose: Purpose,
    /// Where its span is.
    pub place: SpanPlace,
}

/// What a client wants an answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A browser that goes to another page.
    Navigation,
    /// A browser, for a page that stays, or for something in it.
    Subresource,
    /// No browser, as far as it says.
    Unknown,
}

impl RequestSummary {
    /// Remembers a request that is sent now. Copies no text: the fields share it.
    pub(super) fn of<B>(request: &Request<B>, downstream: &Downstream) -> Self {
        let field = |name| request.headers().get(name).cloned();
        Self {
            at: Instant::now(),
            uri: request.uri().clone(),
            host: downstream.host.clone(),
            address: downstream.address,
            cookies: field(header::COOKIE),
            user_agent: field(header::USER_AGENT),
            accept_language: field(header::ACCEPT_LANGUAGE),
            origin: field(header::ORIGIN),
            purpose: Purpose::of(request.headers()),
            place: downstream.tracer.place(downstream.trace),
        }
    }
}

impl Purpose {
    /// By Fetch Metadata; of a browser that is too old for it, by what it accepts.
    fn of(fields: &HeaderMap) -> Self {
        let accepts_pages = |accept: &HeaderValue| accept.as_bytes().starts_with(b"text/html");
        match fields.get(SEC_FETCH_MODE) {
            Some(mode) if mode == "navigate" => Self::Navigation,
            Some(_) => Self::Subresource,
            None if fields.get(header::ACCEPT).is_some_and(accepts_pages) => Self::Navigation,
            None => Self::Unknown,
        }
    }
}
