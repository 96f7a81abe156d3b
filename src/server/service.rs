//! What a connection reads of its server: who answers, what a client may take, how HTTP is spoken.
//!
//! Made by `serve`, one for each kind of listener; read by every `connection`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Response;

use super::deadlines::Deadlines;
use super::http_config::{HttpConfig, HttpLimits};
use super::introduce::Introductions;
use super::rest::Rests;
use crate::config::{Limits, ProxiesConfig, TrustedProxies};
use crate::net::drain::DrainWatch;
pub use crate::net::listener::Peer;
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// Whatever answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: BoxedRequest,
        peer: Peer,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;

    /// Gives an answer of the server's own, to a client for which there is no room, what those of this handler's have.
    fn dress(&self, _response: &mut Response<ResponseBody>) {}
}

/// What clients of one kind of listener may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once, upgraded ones included.
    pub connections: usize,
    /// Clients beyond them that are told that there is no room, at once.
    pub refused: usize,
    /// Bytes of a header section.
    pub header_size: usize,
    /// Fields in a header section.
    pub headers: usize,
    /// For the TLS handshake.
    pub tls_timeout: Duration,
    /// For a header section, and for the first byte of the first request.
    pub header_timeout: Duration,
    /// For the next request.
    pub idle_timeout: Duration,
    /// For the client to take the next bytes.
    pub write_timeout: Duration,
    /// Whether a stream of HTTP/2 may become a WebSocket.
    pub websocket_over_http2: bool,
}

impl ServerLimits {
    /// As configured, with so many connections and refusals. Every stream stays HTTP.
    pub fn new(limits: &Limits, connections: usize, refused: usize) -> Self {
        Self {
            connections,
            refused,
            header_size: limits.header_size,
            headers: limits.headers,
            tls_timeout: limits.tls_timeout,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            websocket_over_http2: false,
        }
    }
}

/// What all connections of one kind of listener share.
#[derive(Debug)]
pub(super) struct Service<A> {
    pub(super) handler: Arc<A>,
    pub(super) limits: ServerLimits,
    pub(super) drain: DrainWatch,
    pub(super) http: HttpConfig,
    pub(super) rests: Rests,
    /// Where proxies introduce their clients by the PROXY protocol.
    pub(super) introductions: Option<Introductions>,
    /// Who is a proxy.
    pub(super) proxies: TrustedProxies,
}

impl<A> Service<A> {
    pub(super) fn new(handler: Arc<A>, limits: ServerLimits, drain: DrainWatch) -> Self {
        let http = HttpLimits {
            header_size: limits.header_size,
            fields: limits.headers,
            websocket_over_http2: limits.websocket_over_http2,
        };
        Self {
            handler,
            http: HttpConfig::new(http, &drain),
            rests: Rests::new(drain.clone()),
            limits,
            drain,
            introductions: None,
            proxies: TrustedProxies::default(),
        }
    }

    /// Stands behind these proxies, which introduce their clients by the PROXY protocol or do not.
    pub(super) fn behind(self, proxies: &ProxiesConfig, introduced: bool) -> Self {
        let trusted = &proxies.trusted;
        Self {
            introductions: introduced.then(|| Introductions::new(trusted.clone())),
            proxies: trusted.clone(),
            ..self
        }
    }

    /// Records whether a peer is a proxy.
    pub(super) fn recognise(&self, peer: Peer, deadlines: &Deadlines) {
        if self.proxies.trusts(peer.address()) {
            deadlines.is_proxy();
        }
    }
}
