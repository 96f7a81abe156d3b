//! What the gateway knows about a request besides its HTTP form.
//!
//! Made once by `server` for each admitted request and handed down to the part that answers it.

use std::net::IpAddr;

use http::HeaderValue;

use super::compression_terms::CompressionTerms;
use super::upstream_time::UpstreamTime;
use crate::ids::{ConnectionId, RequestId, RequestName, TraceParent};
use crate::telemetry::otel::Tracer;

/// Where an admitted request comes from. All of it but `claimed` and `compression` is the gateway's own
/// knowledge.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// The client's address, see [`Client`](super::client::Client).
    pub address: IpAddr,
    /// Names the request in the log, towards upstreams and on error pages.
    pub request_id: RequestId,
    /// The trace that it is a part of.
    pub trace: TraceParent,
    /// The request's authority, port included, as the browser wrote it: checked against `hosts`.
    pub host: HeaderValue,
    /// What the connection is to become.
    pub upgrade: Upgrade,
    /// How error pages are written.
    pub audience: ErrorPages,
    /// The connection that the page says it has (`Gatepost-Connection`): to be checked before
    /// anybody is told of it.
    pub claimed: Option<ConnectionId>,
    /// What may be done with an answer that comes from behind the gateway; `None`: nothing.
    pub compression: Option<CompressionTerms>,
    /// Measures, if somebody wants to know.
    pub upstream_time: UpstreamTime,
    /// Makes spans of what is done for it.
    pub tracer: Tracer,
}

/// What a request asks its connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// A WebSocket, as HTTP/1.1 asks for one (RFC 6455).
    WebSocket,
    /// A WebSocket, as HTTP/2 does (RFC 8441): a stream of the connection becomes one.
    ExtendedConnect,
    /// Nothing: it stays HTTP.
    None,
}

impl Upgrade {
    /// Whether it is a WebSocket.
    pub fn is_websocket(self) -> bool {
        self != Self::None
    }
}

impl Downstream {
    /// What the request is called.
    pub fn name(&self) -> RequestName {
        RequestName {
            id: self.request_id,
            trace: self.trace,
        }
    }

    /// Who reads this request's errors.
    pub fn reader(&self) -> Reader {
        Reader {
            request_id: self.request_id,
            audience: self.audience,
        }
    }
}

/// Who reads an error, and the name of the request it is about.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// As in the log.
    pub request_id: RequestId,
    /// How it is written.
    pub audience: ErrorPages,
}

/// Who an error page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPages {
    /// The developer: pages explain, and reload themselves.
    Developer,
    /// The public: pages say what failed and name the request id, nothing more.
    Public,
}
