//! The access log: one line a request, where `log.access` asks for it.
//!
//! Written by `dispatch`, when the answer's head is known.

use std::net::IpAddr;
use std::time::Instant;

use http::{Method, StatusCode};

use crate::ids::RequestId;

/// What the access log tells of a request. Never its query, which may carry secrets.
pub(super) struct AccessRecord<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) address: IpAddr,
    pub(super) id: RequestId,
    pub(super) begun: Instant,
}

impl AccessRecord<'_> {
    /// Writes the line of a request that was answered so.
    pub(super) fn log(&self, status: StatusCode) {
        tracing::info!(
            target: "gatepost::access",
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            client = %self.address,
            request_id = %self.id,
        );
    }
}
