//! The health check of the public listeners: for load balancers, which ask for any host or none.
//!
//! Put by the composition root in front of what answers there. The check comes before everything, so that
//! it is neither redirected, nor logged, nor counted.

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use super::service::{Handler, Peer};
use crate::admin::health::Readiness;
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// Answers the health check, and hands all else on.
#[derive(Debug)]
pub struct Checked<A> {
    handler: Arc<A>,
    check: Option<HealthCheck>,
}

/// Where it is, and what it tells of.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// The path, as it is sent.
    pub path: Arc<str>,
    /// Whether traffic is welcome.
    pub readiness: Readiness,
}

impl<A> Checked<A> {
    /// `handler`, with a health check where there is one.
    pub fn new(handler: Arc<A>, check: Option<HealthCheck>) -> Self {
        Self { handler, check }
    }
}

impl<A: Handler> Handler for Checked<A> {
    async fn answer(&self, request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        match &self.check {
            Some(check) if request.uri().path() == &*check.path => check.answer(request.method()),
            _ => self.handler.answer(request, peer).await,
        }
    }

    fn dress(&self, response: &mut Response<ResponseBody>) {
        self.handler.dress(response);
    }
}

impl HealthCheck {
    fn answer(&self, method: &Method) -> Response<ResponseBody> {
        let (status, text) = match *method {
            Method::GET | Method::HEAD if self.readiness.is_welcoming() => (StatusCode::OK, "ok"),
            Method::GET | Method::HEAD => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD"),
        };
        let mut response = Response::new(ResponseBody::full(text));
        *response.status_mut() = status;
        let fields = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        fields.insert(CONTENT_TYPE, plain);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
