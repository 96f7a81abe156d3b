//! An upstream: several addresses, their idle connections, and the patience with its restarts.
//!
//! `forward` and `tunnel` borrow connections here. While no address accepts connections, a request
//! waits (`hold`) and tries again; nothing was sent yet, so that is safe for every method.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::backend::Backend;
use super::concurrency::{ConcurrencyLimit, Permit};
use super::dial::{DialError, dial};
use super::error::{ForwardFailure, UpstreamLabel};
use super::upstream_connection::UpstreamConnection;
use crate::config::UpstreamAddress;
use crate::net::backoff::ExponentialBackoff;
use crate::net::drain::DrainWatch;
use crate::net::stream::Stream;

/// Between attempts while nobody listens.
const PAUSES: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_millis(50),
    max: Duration::from_millis(500),
    jitter: 0.0,
};
/// What an upstream needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// What people call it: `django`, `frontend`, a route's path.
    pub name: String,
    /// Where it listens; not empty.
    pub addresses: Vec<UpstreamAddress>,
    /// For connecting to one address.
    pub connect_timeout: Duration,
    /// For the head of an answer, and between two parts of its body.
    pub timeout: Duration,
    /// How long a request waits while nobody listens.
    pub hold: Duration,
}

/// A server behind the gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    shared: Arc<UpstreamInner>,
}

#[derive(Debug)]
struct UpstreamInner {
    settings: UpstreamSettings,
    retries: Counter,
    backends: Vec<Backend>,
    next: AtomicUsize,
    limit: ConcurrencyLimit,
    drain: DrainWatch,
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// One used within this time.
    Within(Duration),
    /// A new one.
    Never,
}

/// A connection taken for one request. Dropped, it is closed; given back, it is used again.
#[derive(Debug)]
pub(super) struct PooledConnection {
    pub(super) connection: UpstreamConnection,
    pub(super) reused: bool,
    shared: Arc<UpstreamInner>,
    backend: usize,
    _permit: Permit,
}

impl Upstream {
    /// An upstream without connections yet; `retries` counts the requests that are sent to it again.
    pub fn new(settings: UpstreamSettings, retries: Counter, drain: DrainWatch) -> Self {
        let backends = settings
            .addresses
            .iter()
            .cloned()
            .map(Backend::new)
            .collect();
        Self {
            shared: Arc::new(UpstreamInner {
                settings,
                retries,
                backends,
                next: AtomicUsize::new(0),
                limit: ConcurrencyLimit::new(),
                drain,
            }),
        }
    }

    /// What it was made of.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.shared.settings
    }

    pub(super) fn name(&self) -> &str {
        &self.shared.settings.name
    }

    pub(super) fn timeout(&self) -> Duration {
        self.shared.settings.timeout
    }

    pub(super) fn first_address(&self) -> Option<&UpstreamAddress> {
        self.shared.settings.addresses.first()
    }

    /// A connection for one request of a client's.
    pub(super) async fn connection(
        &self,
        reuse: Reuse,
        client: IpAddr,
    ) -> Result<PooledConnection, ForwardFailure> {
        let permit = self.permit(client).await?;
        let first = self.shared.next.fetch_add(1, Ordering::Relaxed);
        if let Reuse::Within(freshness) = reuse {
            let backend = first % self.shared.backends.len().max(1);
            if let Some(pool) = self
                .shared
                .backends
                .get(backend)
                .map(|backend| &backend.pool)
                && let Some(connection) = pool.take(freshness).await
            {
                let pooled = self.lend(connection, backend, permit);
                return Ok(PooledConnection {
                    reused: true,
                    ..pooled
                });
            }
        }
        // Boxed: the many that find a connection would keep room for it.
        let (connection, backend) = Box::pin(self.new_connection(first)).await?;
        Ok(self.lend(connection, backend, permit))
    }

    async fn new_connection(
        &self,
        first: usize,
    ) -> Result<(UpstreamConnection, usize), ForwardFailure> {
        let (stream, backend) = self.connect(first).await?;
        let begun = UpstreamConnection::begin(stream, &self.shared.drain).await;
        let connection = begun.map_err(|source| ForwardFailure::Lost {
            at: self.label(backend),
            source,
        })?;
        Ok((connection, backend))
    }

    fn lend(
        &self,
        connection: UpstreamConnection,
        backend: usize,
        permit: Permit,
    ) -> PooledConnection {
        PooledConnection {
            connection,
            reused: false,
            shared: self.shared.clone(),
            backend,
            _permit: permit,
        }
    }

    async fn permit(&self, client: IpAddr) -> Result<Permit, ForwardFailure> {
        let permit = self.shared.limit.take(client).await;
        permit.ok_or_else(|| self.busy())
    }

    fn busy(&self) -> ForwardFailure {
        let name = self.shared.settings.name.clone();
        ForwardFailure::Busy { name }
    }

    /// A new connection; waits while nobody listens, but no longer than the hold.
    pub(super) async fn connect(&self, first: usize) -> Result<(Stream, usize), ForwardFailure> {
        let started = Instant::now();
        let mut failures = 0_u32;
        loop {
            let failure = match self.try_backends(first).await {
                Ok(connected) => return Ok(connected),
                Err(failure) => failure,
            };
            failures = failures.saturating_add(1);
            let left = self.shared.settings.hold.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(failure);
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSES.pause(failures).min(left)) => {}
                () = self.shared.drain.draining() => return Err(failure),
            }
        }
    }

    /// Each address once, those that answered last time first.
    async fn try_backends(&self, first: usize) -> Result<(Stream, usize), ForwardFailure> {
        let backends = &self.shared.backends;
        let in_turn = || (0..backends.len()).map(|step| (first + step) % backends.len());
        let is_away = |index: &usize| backends[*index].away.load(Ordering::Relaxed);
        let mut order: Vec<usize> = in_turn().filter(|index| !is_away(index)).collect();
        // Now and then a lost one is tried first, or nobody would ever learn that it is back.
        let away = in_turn().filter(is_away);
        if first.is_multiple_of(16) {
            order.splice(0..0, away)
        } else {
            order.splice(order.len().., away)
        };
        let mut last = self.busy();
        for index in order {
            match self.try_backend(index).await {
                Ok(stream) => return Ok((stream, index)),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn try_backend(&self, index: usize) -> Result<Stream, ForwardFailure> {
        let (name, backend) = (&self.shared.settings.name, &self.shared.backends[index]);
        match dial(&backend.address, self.shared.settings.connect_timeout).await {
            Ok(stream) => {
                if backend.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(upstream = name, address = backend.text, "upstream is back");
                }
                Ok(stream)
            }
            Err(error) => {
                if !backend.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(upstream = name, address = backend.text, %error, "upstream is away");
                }
                let at = self.label(index);
                Err(match error {
                    DialError::Refused(cause) => ForwardFailure::Refused { at, cause },
                    DialError::TimedOut(limit) => ForwardFailure::ConnectTimeout { at, limit },
                })
            }
        }
    }

    pub(super) fn label(&self, backend: usize) -> UpstreamLabel {
        self.shared.label(backend)
    }

    /// A request is sent again.
    pub(super) fn count_retry(&self) {
        self.shared.retries.inc();
    }

    /// Whose permit it is among several addresses.
    pub(super) fn next_backend(&self) -> usize {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl PooledConnection {
    /// Keeps the connection for the next request.
    pub(super) fn give_back(self, limit: Duration) {
        if let Some(backend) = self.shared.backends.get(self.backend) {
            backend
                .pool
                .give(self.connection, limit, &self.shared.drain);
        }
    }

    /// Where it connects to.
    pub(super) fn label(&self) -> UpstreamLabel {
        self.shared.label(self.backend)
    }
}

impl UpstreamInner {
    fn label(&self, backend: usize) -> UpstreamLabel {
        UpstreamLabel {
            name: self.settings.name.clone(),
            address: self
                .backends
                .get(backend)
                .map(|b| b.text.clone())
                .unwrap_or_default(),
        }
    }
}
