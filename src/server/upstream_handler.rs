//! What a server behind the gateway answers, and what becomes of its answer here.
//!
//! Made by the composition root, asked by `dispatch`.

use std::sync::Arc;

use http::Response;

use super::by_permission::FilesByPermission;
use crate::proxy::InternalRedirect;
use crate::proxy::forward::Forwarder;
use crate::proxy::hand_over::HandOver;
use crate::socket::{HandedOver, HandedRequest};
use crate::telemetry::span;
use crate::web::body::ResponseBody;
use crate::web::problem::{Problem, ToProblem};
use crate::web::request::Downstream;
use crate::web::request_body::BoxedRequest;

/// A server behind the gateway.
#[derive(Debug)]
pub struct UpstreamHandler {
    /// The way there.
    pub forwarder: Forwarder,
    /// What it may name in place of an answer.
    pub files: Arc<FilesByPermission>,
    /// Goes on with what it may hand over.
    pub streams: Arc<HandedOver>,
}

impl UpstreamHandler {
    /// What people call it.
    pub(super) fn name(&self) -> &str {
        self.forwarder.upstream_name()
    }

    /// Its answer.
    pub(super) async fn answer(
        &self,
        request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Problem> {
        span::record("upstream", || self.name());
        // Boxed: the largest of the futures, and hyper keeps room for it per connection.
        Box::pin(self.exchange(request, downstream)).await
    }

    async fn exchange(
        &self,
        request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Problem> {
        let asked = self.files.remember(&request, downstream);
        let handed = HandedRequest::of(&request, downstream.request_id);
        let answer = self.forwarder.forward(request, downstream).await;
        let mut answer = answer.map_err(|error| error.to_problem())?;
        if let Some(hand_over) = answer.extensions_mut().remove::<HandOver>() {
            return Box::pin(self.streams.go_on(&handed, &hand_over, answer)).await;
        }
        match answer.extensions_mut().remove::<InternalRedirect>() {
            None => Ok(answer),
            Some(redirect) => Box::pin(self.files.answer(asked, &redirect, answer)).await,
        }
    }
}
