//! An upstream: several addresses, their idle connections, and the patience with its restarts.
//!
//! `forward` and `tunnel` borrow connections here. The surprise: while nobody listens, a request
//! waits (`hold`) and tries again; nothing was sent yet, so that is safe for every method.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::dial::{DialError, dial};
use super::error::{Failure, Place};
use super::patient::Patient;
use super::pool::Pool;
use super::turns::{Turn, Turns};
use super::upload::Upload;
use crate::config::UpstreamAddress;
use crate::net::drain::DrainWatch;
use crate::net::stream::Stream;

/// Pauses between attempts while nobody listens grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// hyper's buffer for an answer; a longer head than this is refused.
const BUFFER: usize = 128 * 1024;
/// Fields of an answer's head; hyper's own 100 are fewer than an application may have that sets many
/// cookies at once.
const FIELDS: usize = 256;

/// What an upstream needs to know.
#[derive(Clone, Debug)]
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
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: UpstreamSettings,
    backends: Vec<Backend>,
    next: AtomicUsize,
    turns: Turns,
    drain: DrainWatch,
}

#[derive(Debug)]
struct Backend {
    address: UpstreamAddress,
    text: String,
    pool: Pool,
    away: AtomicBool,
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// One used within this time.
    Within(Duration),
    /// A new one.
    Never,
}

/// A connection lent for one request. Dropped, it is closed; given back, it is used again.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) sender: SendRequest<Upload>,
    pub(super) reused: bool,
    shared: Arc<Shared>,
    backend: usize,
    _turn: Turn,
}

impl Upstream {
    /// An upstream nobody has talked to yet.
    pub fn new(settings: UpstreamSettings, drain: DrainWatch) -> Self {
        let backends = settings
            .addresses
            .iter()
            .cloned()
            .map(Backend::new)
            .collect();
        Self {
            shared: Arc::new(Shared {
                settings,
                backends,
                next: AtomicUsize::new(0),
                turns: Turns::new(),
                drain,
            }),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.shared.settings.timeout
    }

    pub(super) fn first_address(&self) -> Option<&UpstreamAddress> {
        self.shared.settings.addresses.first()
    }

    /// A connection for one request of a client's.
    pub(super) async fn lease(&self, reuse: Reuse, client: IpAddr) -> Result<Lease, Failure> {
        let turn = self.turn(client).await?;
        let first = self.shared.next.fetch_add(1, Ordering::Relaxed);
        if let Reuse::Within(freshness) = reuse {
            let backend = first % self.shared.backends.len().max(1);
            if let Some(pool) = self
                .shared
                .backends
                .get(backend)
                .map(|backend| &backend.pool)
                && let Some(sender) = pool.take(freshness).await
            {
                let lease = self.lend(sender, backend, turn);
                return Ok(Lease {
                    reused: true,
                    ..lease
                });
            }
        }
        let (stream, backend) = self.connect(first).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(FIELDS)
            .handshake(TokioIo::new(Patient::new(stream)))
            .await
            .map_err(|source| Failure::Lost {
                at: self.place(backend),
                source,
            })?;
        self.shared.drain.spawn(async move {
            // Whoever waits for the answer learns of the error, and logs it.
            let _ = connection.await;
        });
        Ok(self.lend(sender, backend, turn))
    }

    fn lend(&self, sender: SendRequest<Upload>, backend: usize, turn: Turn) -> Lease {
        Lease {
            sender,
            reused: false,
            shared: self.shared.clone(),
            backend,
            _turn: turn,
        }
    }

    async fn turn(&self, client: IpAddr) -> Result<Turn, Failure> {
        let turn = self.shared.turns.take(client).await;
        turn.ok_or_else(|| self.busy())
    }

    fn busy(&self) -> Failure {
        let name = self.shared.settings.name.clone();
        Failure::Busy { name }
    }

    /// A new connection; waits while nobody listens, but no longer than the hold.
    pub(super) async fn connect(&self, first: usize) -> Result<(Stream, usize), Failure> {
        let started = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            let failure = match self.try_backends(first).await {
                Ok(connected) => return Ok(connected),
                Err(failure) => failure,
            };
            let left = self.shared.settings.hold.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(failure);
            }
            tokio::select! {
                () = tokio::time::sleep(pause.min(left)) => {}
                () = self.shared.drain.draining() => return Err(failure),
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Each address once, those that answered last time first.
    async fn try_backends(&self, first: usize) -> Result<(Stream, usize), Failure> {
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

    async fn try_backend(&self, index: usize) -> Result<Stream, Failure> {
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
                let at = self.place(index);
                Err(match error {
                    DialError::Refused(cause) => Failure::Refused { at, cause },
                    DialError::TimedOut(limit) => Failure::ConnectTimeout { at, limit },
                })
            }
        }
    }

    pub(super) fn place(&self, backend: usize) -> Place {
        self.shared.place(backend)
    }

    /// Whose turn it is among several addresses.
    pub(super) fn next_backend(&self) -> usize {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Lease {
    /// Keeps the connection for the next request.
    pub(super) fn give_back(self, limit: Duration) {
        if let Some(backend) = self.shared.backends.get(self.backend) {
            backend.pool.give(self.sender, limit, &self.shared.drain);
        }
    }

    /// Whom it connects to.
    pub(super) fn place(&self) -> Place {
        self.shared.place(self.backend)
    }
}

impl Shared {
    fn place(&self, backend: usize) -> Place {
        Place {
            name: self.settings.name.clone(),
            address: self
                .backends
                .get(backend)
                .map(|b| b.text.clone())
                .unwrap_or_default(),
        }
    }
}

impl Backend {
    fn new(address: UpstreamAddress) -> Self {
        Self {
            text: address_text(&address),
            address,
            pool: Pool::default(),
            away: AtomicBool::new(false),
        }
    }
}

/// An address as people write it.
fn address_text(address: &UpstreamAddress) -> String {
    match address {
        UpstreamAddress::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        UpstreamAddress::Tcp { host, port } => format!("{host}:{port}"),
        UpstreamAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}
