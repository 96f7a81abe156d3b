//! The handler of now: what a reload replaces while connections stay.
//!
//! Put by the composition root before what answers the listeners. Read once for each request: one that is under way is
//! answered to its end by what took it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Response;

use super::service::{Handler, Peer};
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// A handler that can be replaced.
#[derive(Debug)]
pub struct CurrentHandler<A>(ArcSwap<A>);

impl<A> CurrentHandler<A> {
    /// As it is at the start.
    pub fn new(handler: Arc<A>) -> Self {
        Self(ArcSwap::new(handler))
    }

    /// Has the next request answered by another.
    pub fn replace(&self, handler: Arc<A>) {
        self.0.store(handler);
    }
}

impl<A: Handler> Handler for CurrentHandler<A> {
    async fn answer(&self, request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        let handler = self.0.load_full();
        handler.answer(request, peer).await
    }

    fn dress(&self, response: &mut Response<ResponseBody>) {
        self.0.load().dress(response);
    }
}
