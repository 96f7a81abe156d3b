//! The accept loop.
//!
//! Made and run by the composition root, one [`Server`] for each kind of listener; each client is
//! handed to a task of its own. The surprise: a client that there is no room for is accepted all the
//! same, and answered 503; where too many of those are open, it is closed at once. Left in the
//! kernel's backlog it would hang without knowing why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::connection::{self, ServedClient, Treatment};
use super::introduce::Introductions;
use super::service::{Handler, ServerLimits, Service};
use super::wrap::PacedStream;
use crate::config::ProxiesConfig;
use crate::net::drain::DrainWatch;
use crate::net::listener::Listener;
use crate::telemetry::seldom::Seldom;
use crate::telemetry::span;
use crate::tls::store::CertificateStore;

/// The least time between two log lines about a full gateway, which stays full for a while.
const QUIET: Duration = Duration::from_secs(10);

/// Serves the clients of one kind of listener.
#[derive(Debug)]
pub struct Server<A> {
    service: Arc<Service<A>>,
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// The log lines that tell that all permits are out.
    complaints: Seldom,
}

impl<A: Handler> Server<A> {
    /// Serves with `answer`. Several listeners may share one `Server`, and its connections.
    pub fn new(answer: Arc<A>, limits: ServerLimits, drain: DrainWatch) -> Self {
        let permits = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            service: Arc::new(Service::new(answer, limits, drain)),
            permits: Arc::new(Semaphore::new(permits)),
            refusals: Arc::new(Semaphore::new(limits.refused)),
            complaints: Seldom::new(QUIET),
        }
    }

    /// Stands behind these proxies, which introduce their clients by the PROXY protocol or do not.
    #[must_use]
    pub fn behind(mut self, proxies: &ProxiesConfig, introduced: bool) -> Self {
        // Nobody shares it before the first listener is served.
        if let Some(service) = Arc::get_mut(&mut self.service) {
            let trusted = &proxies.trusted;
            service.introductions = introduced.then(|| Introductions::new(trusted.clone()));
            service.proxies = trusted.clone();
        }
        self
    }

    /// Takes its connections from those of `other`, so that the two together keep to one limit.
    #[must_use]
    pub fn sharing<B>(mut self, other: &Server<B>) -> Self {
        self.permits = Arc::clone(&other.permits);
        self.refusals = Arc::clone(&other.refusals);
        self
    }

    /// Serves HTTPS, by HTTP/1.1 and HTTP/2, until the drain begins.
    pub async fn run_tls(self: Arc<Self>, mut listener: Listener, store: Arc<CertificateStore>) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let (service, store) = (Arc::clone(&self.service), Arc::clone(&store));
            let span = span::connection(client.peer);
            let connection = connection::run_tls(service, store, stream, client);
            self.service.drain.spawn(connection.instrument(span));
        }
    }

    /// Serves plain HTTP/1.1, until the drain begins.
    pub async fn run_plain(self: Arc<Self>, mut listener: Listener) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let service = Arc::clone(&self.service);
            let span = span::connection(client.peer);
            let connection = connection::run_plain(service, stream, client);
            self.service.drain.spawn(connection.instrument(span));
        }
    }

    /// The next client that is to get an answer; `None` when the gateway ends.
    async fn next(&self, listener: &mut Listener) -> Option<(PacedStream, ServedClient)> {
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = self.service.drain.draining() => return None,
                accepted = listener.accept() => accepted,
            };
            // Else the stream is dropped, which closes it: too many are being told that there is no room.
            if let Some((permit, treatment)) = self.room() {
                let client = ServedClient::new(peer, &self.service.limits, treatment);
                let stream = PacedStream::new(stream, Arc::clone(&client.deadlines), permit);
                return Some((stream, client));
            }
        }
    }

    fn room(&self) -> Option<(OwnedSemaphorePermit, Treatment)> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some((permit, Treatment::Serve));
        }
        self.complain();
        let permit = Arc::clone(&self.refusals).try_acquire_owned().ok()?;
        Some((permit, Treatment::Refuse))
    }

    fn complain(&self) {
        if !self.complaints.is_due() {
            return;
        }
        tracing::warn!(
            connections = self.service.limits.connections,
            "all connections are in use, further clients are told to come later (503); raise \
             `limits.connections` or the limit of open files (ulimit -n)"
        );
    }
}
