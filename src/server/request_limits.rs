//! What a client's requests may be, and how many: paths that are refused, and requests a second.
//!
//! Asked by `dispatch`. A request for a refused path gets no page, and its connection is closed:
//! scanners should find nothing here, and soon.

use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode, Version};
use tokio::time::Instant;

use crate::config::{Limits, RefusedPath};
use crate::net::address_rate::AddressRate;
use crate::net::block::AddressBlock;
use crate::telemetry::metrics::{Metrics, ReasonLabel};
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;
use crate::web::request::Downstream;

/// Refuses requests.
#[derive(Debug)]
pub struct RequestLimits {
    refuse: Box<[RefusedPath]>,
    rate: Option<AddressRate>,
    metrics: Arc<Metrics>,
}

/// An extension of the answer after which a connection is to end, whatever it speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastAnswer;

impl RequestLimits {
    /// Nobody has asked for anything yet.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let burst = u32::try_from(limits.requests_burst).unwrap_or(u32::MAX);
        let rate = |per_second| AddressRate::new(per_second, burst);
        Self {
            refuse: limits.refuse.clone().into(),
            rate: limits.requests_per_address.map(rate),
            metrics,
        }
    }

    /// The answer to a request for a path that is refused.
    pub(super) fn refusal(&self, path: &str, version: Version) -> Option<Response<ResponseBody>> {
        if !self.refuse.iter().any(|refused| refused.has(path)) {
            return None;
        }
        self.count("refused");
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        if version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response.extensions_mut().insert(LastAnswer);
        Some(response)
    }

    /// Counts one more request of a client, or refuses it.
    pub(super) fn enter(&self, downstream: &Downstream) -> Result<(), Problem> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        if rate.spend(AddressBlock::of(downstream.address), Instant::now()) {
            return Ok(());
        }
        self.count("too_fast");
        let detail = "Too many requests come from this address.";
        Err(
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_fast", detail)
                .with_hint("`limits.requests_per_address` in gateway.toml says how many a second")
                .retry_after(1),
        )
    }

    fn count(&self, reason: &'static str) {
        let refused = &self.metrics.refused;
        refused.get_or_create(&ReasonLabel { reason }).inc();
    }
}
