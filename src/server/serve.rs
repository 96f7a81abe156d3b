//! The accept loop.
//!
//! Made and run by the composition root, one [`Server`] for each kind of listener; each client is
//! handed to a task of its own. The surprise: a client that there is no room for is accepted all the
//! same, and answered 503; where too many of those are open, it is closed at once. Left in the
//! kernel's backlog it would hang without knowing why.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::Instrument as _;

use super::connection::{self, ServedClient, Treatment};
use super::service::{Handler, ServerLimits, Service};
use super::wrap::PacedStream;
use crate::config::ProxiesConfig;
use crate::net::drain::DrainWatch;
use crate::net::listener::Listener;
use crate::net::per_address::{AddressPermit, PerAddress, PlaceLimits};
use crate::telemetry::seldom::Seldom;
use crate::telemetry::span;
use crate::tls::store::CertificateStore;

/// The least time between two log lines about a full gateway, which stays full for a while.
const QUIET: Duration = Duration::from_secs(10);

/// Serves the clients of one kind of listener.
#[derive(Debug)]
pub struct Server<A> {
    service: ArcSwap<Service<A>>,
    drain: DrainWatch,
    places: Arc<PerAddress>,
    refusals: Arc<PerAddress>,
    /// The log lines that tell that all permits are out.
    complaints: Seldom,
}

impl<A: Handler> Server<A> {
    /// Serves with `answer`. Several listeners may share one `Server`, and its connections.
    pub fn new(answer: Arc<A>, limits: ServerLimits, drain: DrainWatch) -> Self {
        Self {
            places: PerAddress::new(in_all(limits.connections)),
            refusals: PerAddress::new(in_all(limits.refused)),
            service: ArcSwap::from_pointee(Service::new(answer, limits, drain.clone())),
            drain,
            complaints: Seldom::new(QUIET),
        }
    }

    /// Serves who comes from now on within these limits, behind these proxies.
    pub fn adopt(&self, limits: ServerLimits, proxies: &ProxiesConfig, introduced: bool) {
        let handler = Arc::clone(&self.service.load().handler);
        let service = Service::new(handler, limits, self.drain.clone());
        self.service
            .store(Arc::new(service.behind(proxies, introduced)));
        self.places.adopt(in_all(limits.connections));
        self.refusals.adopt(in_all(limits.refused));
    }

    /// Takes its connections from those of `other`, so that the two together keep to one limit.
    #[must_use]
    pub fn sharing<B>(mut self, other: &Server<B>) -> Self {
        self.places = Arc::clone(&other.places);
        self.refusals = Arc::clone(&other.refusals);
        self
    }

    /// Serves HTTPS, by HTTP/1.1 and HTTP/2, until the drain begins or the listener closes.
    pub async fn run_tls(self: Arc<Self>, mut listener: Listener, store: Arc<CertificateStore>) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let (service, store) = (self.service.load_full(), Arc::clone(&store));
            let span = span::connection(client.peer);
            let connection = connection::run_tls(service, store, stream, client);
            self.drain.spawn(connection.instrument(span));
        }
    }

    /// Serves plain HTTP/1.1, until the drain begins or the listener closes.
    pub async fn run_plain(self: Arc<Self>, mut listener: Listener) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let service = self.service.load_full();
            let span = span::connection(client.peer);
            let connection = connection::run_plain(service, stream, client);
            self.drain.spawn(connection.instrument(span));
        }
    }

    /// The next client that is to get an answer; `None` when the gateway or the listener ends.
    async fn next(&self, listener: &mut Listener) -> Option<(PacedStream, ServedClient)> {
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = self.drain.draining() => return None,
                accepted = listener.accept() => accepted?,
            };
            // Else the stream is dropped, which closes it: too many are being told that there is no room.
            if let Some((permit, treatment)) = self.room() {
                let limits = self.service.load().limits;
                let client = ServedClient::new(peer, &limits, treatment, &self.places);
                let stream = PacedStream::new(stream, Arc::clone(&client.deadlines), permit);
                return Some((stream, client));
            }
        }
    }

    fn room(&self) -> Option<(AddressPermit, Treatment)> {
        if let Ok(permit) = self.places.take(None) {
            return Some((permit, Treatment::Serve));
        }
        self.complain();
        let permit = self.refusals.take(None).ok()?;
        Some((permit, Treatment::Refuse))
    }

    fn complain(&self) {
        if !self.complaints.is_due() {
            return;
        }
        tracing::warn!(
            connections = self.service.load().limits.connections,
            "all connections are in use, further clients are told to come later (503); raise \
             `limits.connections` or the limit of open files (ulimit -n)"
        );
    }
}

fn in_all(most: usize) -> PlaceLimits {
    PlaceLimits {
        total: Some(most),
        each: None,
    }
}
