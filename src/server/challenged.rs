//! What a certificate authority asks for over plain HTTP (ACME, RFC 8555 section 8.3).
//!
//! Put by the composition root in front of what answers at `server.http`. This comes before the redirect to HTTPS,
//! since there is no certificate yet, and answers for any host; what is not ordered just now goes on.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};

use super::service::{Handler, Peer};
use crate::tls::challenges::Challenges;
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// Where an authority asks.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers authorities, and hands all else on.
#[derive(Debug)]
pub struct Challenged<A> {
    handler: A,
    challenges: Option<Arc<Challenges>>,
}

impl<A> Challenged<A> {
    /// `handler`, with the answers to authorities in front, where certificates are ordered.
    pub fn new(handler: A, challenges: Option<Arc<Challenges>>) -> Self {
        Self {
            handler,
            challenges,
        }
    }

    fn respond(&self, request: &BoxedRequest) -> Option<Response<ResponseBody>> {
        let challenges = self.challenges.as_ref()?;
        let token = request.uri().path().strip_prefix(PREFIX)?;
        if request.method() != Method::GET {
            return None;
        }
        let mut response = Response::new(ResponseBody::full(challenges.answer(token)?));
        let fields = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        fields.insert(CONTENT_TYPE, plain);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

impl<A: Handler> Handler for Challenged<A> {
    async fn answer(&self, request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        match self.respond(&request) {
            Some(response) => response,
            None => self.handler.answer(request, peer).await,
        }
    }

    fn dress(&self, response: &mut Response<ResponseBody>) {
        self.handler.dress(response);
    }
}
