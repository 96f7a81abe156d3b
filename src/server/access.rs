//! The access log: one line a request, where `log.access` asks for it.
//!
//! Written by `dispatch`, when the answer's head is known.

use std::net::IpAddr;
use std::time::Instant;

use http::{Method, Request, StatusCode, Uri};

use crate::ids::RequestId;

/// What the access log tells of a request. Never its query, which may carry secrets.
pub(super) struct AccessRecord {
    method: Method,
    uri: Uri,
    address: IpAddr,
    id: RequestId,
    begun: Instant,
}

impl AccessRecord {
    /// Of a request that has just come.
    pub(super) fn of<B>(request: &Request<B>, address: IpAddr, id: RequestId) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            address,
            id,
            begun: Instant::now(),
        }
    }

    /// Writes the line of a request that was answered so.
    pub(super) fn log(&self, status: StatusCode) {
        tracing::info!(
            target: "gatepost::access",
            method = %self.method,
            path = self.uri.path(),
            status = status.as_u16(),
            ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            client = %self.address,
            request_id = %self.id,
        );
    }
}
