//! Sockets that clients connect to.
//!
//! Bound by the composition root, drained by `server`. [`Listener::accept`] cannot fail; what is
//! done where it cannot succeed either is `patience`'s.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use super::listen_error::ListenError;
use super::passed::{PassedError, PassedSocket, StreamSocket};
use super::patience::Patience;
pub use super::socket_file::OpenedBy;
use super::socket_file::{SocketFile, bind_unix};
use super::stream::Stream;
use crate::config::ListenAddress;

/// Clients that the kernel keeps while the gateway is busy: a reconnecting crowd comes at once.
const BACKLOG: i32 = 4096;
/// How long a listener that is to close still accepts.
const LAST_CLIENTS: Duration = Duration::from_millis(100);
/// Bytes that the kernel keeps for a client beyond those under way to it. By default it takes
/// megabytes, so that an outbox would learn of a slow client only when the machine's memory is full.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 * 1024;

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// At this address; an IPv4 client of an IPv6 listener has its IPv4 address.
    Tcp(SocketAddr),
    /// On this machine, let in by the socket file's mode.
    Unix,
}

impl Peer {
    /// Its IP address, where it has one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<Bound>,
    patience: Patience,
    closing: Closing,
    /// Once it is to close.
    closes_at: Option<Instant>,
}

/// What is done with a listener that another task accepts from.
#[derive(Clone, Debug)]
pub struct ListenerHandle {
    socket: Weak<Bound>,
    closing: Closing,
}

/// Whether it is to close.
#[derive(Clone, Debug, Default)]
struct Closing {
    soon: CancellationToken,
    now: CancellationToken,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// `None`: systemd's.
        file: Option<SocketFile>,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl Listener {
    /// Listens on a TCP address. An unspecified IPv6 address takes IPv4 clients too.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        Self::bind_beside(address, &[])
    }

    /// Listens on a TCP address, and leaves the clients of `others`, which have listeners of their
    /// own, to those.
    pub fn bind_beside(address: SocketAddr, others: &[SocketAddr]) -> Result<Self, ListenError> {
        let only_v6 = others
            .iter()
            .any(|other| other.is_ipv4() && other.port() == address.port());
        bind_tcp(address, only_v6)
            .map(|listener| Self::new(Bound::Tcp(listener)))
            .map_err(|source| ListenError::Tcp { address, source })
    }

    /// Listens on a Unix socket that nobody else may open. The file of a gateway that is gone is
    /// replaced; one that answers is left alone.
    pub fn bind_unix(path: &Path, opened_by: OpenedBy) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Unix {
            path: path.to_owned(),
            source,
        };
        let listener = bind_unix(path, opened_by, BACKLOG).map_err(refused)?;
        let file = Some(SocketFile::at(path));
        Ok(Self::new(Bound::Unix { listener, file }))
    }

    /// Listens on a socket that systemd has opened; it stays open there when this one is closed.
    pub fn passed(socket: PassedSocket) -> Result<Self, ListenError> {
        let (name, address) = (socket.name.clone(), socket.address.clone());
        socket
            .into_socket()
            .and_then(adopt)
            .map(Self::new)
            .map_err(|source| {
                PassedError::Adopting {
                    name,
                    address,
                    source,
                }
                .into()
            })
    }

    /// Listens on a socket that the gateway before has opened; its file is this one's from now on.
    pub fn inherited(socket: PassedSocket) -> Result<Self, ListenError> {
        let address = socket.address.clone();
        let mut inherited = Self::passed(socket)?;
        if let (Some(Bound::Unix { file, .. }), ListenAddress::Unix(path)) =
            (Arc::get_mut(&mut inherited.socket), &address)
        {
            *file = Some(SocketFile::at(path));
        }
        Ok(inherited)
    }

    fn new(socket: Bound) -> Self {
        Self {
            socket: Arc::new(socket),
            patience: Patience::new(),
            closing: Closing::default(),
            closes_at: None,
        }
    }

    /// The TCP address it is bound to, with the port the system chose for port 0.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &*self.socket {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix { .. } => None,
        }
    }

    /// What closes it, or leaves it to another process.
    pub fn handle(&self) -> ListenerHandle {
        ListenerHandle {
            socket: Arc::downgrade(&self.socket),
            closing: self.closing.clone(),
        }
    }

    /// The next client; `None` a moment after it was told to close: the system may have completed connections by then that
    /// nobody has been told of.
    pub async fn accept(&mut self) -> Option<(Stream, Peer)> {
        let (socket, closing, closes_at) = (&self.socket, &self.closing, &mut self.closes_at);
        let soon = async {
            closing.soon.cancelled().await;
            sleep_until(*closes_at.get_or_insert_with(|| Instant::now() + LAST_CLIENTS)).await;
        };
        let end = async {
            tokio::select! {
                () = closing.now.cancelled() => {}
                () = soon => {}
            }
        };
        tokio::select! {
            biased;
            () = end => None,
            client = self.patience.accept(|| socket.accept()) => Some(client),
        }
    }
}

impl ListenerHandle {
    /// Has it close, once those are accepted that have connected.
    pub fn close(&self) {
        self.closing.soon.cancel();
    }

    /// Leaves it to another process, which accepts whoever comes from now on.
    pub fn let_go(&self) {
        if let Some(Bound::Unix {
            file: Some(file), ..
        }) = self.socket.upgrade().as_deref()
        {
            file.leave();
        }
        self.closing.now.cancel();
    }

    /// The socket once more, for another process; `None` where it is closed.
    pub fn duplicate(&self) -> Option<io::Result<OwnedFd>> {
        let socket = self.socket.upgrade()?;
        Some(match &*socket {
            Bound::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Bound::Unix { listener, .. } => listener.as_fd().try_clone_to_owned(),
        })
    }
}

impl Bound {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Frames are written whole: waiting for more would only delay them.
                // A failure says that the client is gone, which reading will find out.
                drop(stream.set_nodelay(true));
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of the last run linger in TIME_WAIT and would keep the address.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Each socket that is accepted inherits it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn adopt(socket: StreamSocket) -> io::Result<Bound> {
    match socket {
        StreamSocket::Tcp(listener) => {
            let listener = Socket::from(listener);
            #[cfg(target_os = "linux")]
            listener.set_tcp_notsent_lowat(UNSENT)?;
            TcpListener::from_std(listener.into()).map(Bound::Tcp)
        }
        StreamSocket::Unix(listener) => Ok(Bound::Unix {
            listener: UnixListener::from_std(listener)?,
            file: None,
        }),
    }
}
#[cfg(test)]
mod tests;
