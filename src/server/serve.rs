//! The accept loop.
//!
//! Made and run by the composition root, one [`Serve`] for each kind of listener; each client is
//! handed to a task of its own. The surprise: a client for whom there is no room is accepted all the
//! same, and told so by a 503; where too many of those are about, it is closed at once. Left in the
//! kernel's backlog it would hang without knowing why.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{self, Client, Entry, Speech};
use super::wrap::PacedStream;
use crate::config::Limits;
use crate::net::drain::DrainWatch;
use crate::net::listener::Listener;
pub use crate::net::listener::Peer;
use crate::tls::accept::Protocol;
use crate::tls::store::CertificateStore;
use crate::web::body::ResponseBody;

/// The least time between two log lines about a full gateway, which stays full for a while.
const QUIET: Duration = Duration::from_secs(10);

/// Whatever answers requests.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;
}

/// What clients of one kind of listener may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
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
}

impl ServeLimits {
    /// As configured, with so many connections and refusals.
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
        }
    }
}

/// Serves the clients of one kind of listener.
#[derive(Debug)]
pub struct Serve<A> {
    pub(super) answer: Arc<A>,
    pub(super) limits: ServeLimits,
    pub(super) drain: DrainWatch,
    pub(super) speech: Speech,
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// When the log was last told that all permits are out.
    complained: Mutex<Option<Instant>>,
}

impl<A: Answer> Serve<A> {
    /// Serves with `answer`. Several listeners may share one `Serve`, and its connections.
    pub fn new(answer: Arc<A>, limits: ServeLimits, drain: DrainWatch) -> Self {
        let permits = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            answer,
            speech: Speech::new(&limits, &drain),
            limits,
            drain,
            permits: Arc::new(Semaphore::new(permits)),
            refusals: Arc::new(Semaphore::new(limits.refused)),
            complained: Mutex::new(None),
        }
    }

    /// Takes its connections from those of `other`, so that the two together keep to one limit.
    #[must_use]
    pub fn sharing<B>(mut self, other: &Serve<B>) -> Self {
        self.permits = Arc::clone(&other.permits);
        self.refusals = Arc::clone(&other.refusals);
        self
    }

    /// Serves HTTPS, by HTTP/1.1 and HTTP/2, until the drain begins.
    pub async fn run_tls(self: Arc<Self>, mut listener: Listener, store: Arc<CertificateStore>) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let (serve, store) = (Arc::clone(&self), Arc::clone(&store));
            self.drain
                .spawn(connection::run_tls(serve, store, stream, client));
        }
    }

    /// Serves plain HTTP/1.1, until the drain begins.
    pub async fn run_plain(self: Arc<Self>, mut listener: Listener) {
        while let Some((stream, client)) = self.next(&mut listener).await {
            let serve = Arc::clone(&self);
            self.drain.spawn(connection::serve_http(
                serve,
                stream,
                Protocol::Http1,
                client,
            ));
        }
    }

    /// The next client that is to get an answer; `None` when the gateway ends.
    async fn next(&self, listener: &mut Listener) -> Option<(PacedStream, Client)> {
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = self.drain.draining() => return None,
                accepted = listener.accept() => accepted,
            };
            // Who finds no place at all is closed by that.
            if let Some((permit, entry)) = self.room() {
                let client = Client::new(peer, &self.limits, entry);
                let stream = PacedStream::new(stream, Arc::clone(&client.pace), permit);
                return Some((stream, client));
            }
        }
    }

    fn room(&self) -> Option<(OwnedSemaphorePermit, Entry)> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some((permit, Entry::Admitted));
        }
        self.complain();
        let permit = Arc::clone(&self.refusals).try_acquire_owned().ok()?;
        Some((permit, Entry::Refused))
    }

    fn complain(&self) {
        let mut complained = self.complained.lock();
        if complained.is_some_and(|last| last.elapsed() < QUIET) {
            return;
        }
        *complained = Some(Instant::now());
        tracing::warn!(
            "all connections are in use, further clients are told to come later (503); raise \
             `limits.connections` or the limit of open files (ulimit -n)"
        );
    }
}
