//! Sockets that clients connect to.
//!
//! Bound by the composition root, drained by `server`. [`Listener::accept`] cannot fail; what is
//! done where it cannot succeed either is `patience`'s.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use super::listen_error::ListenError;
use super::passed::{PassedError, PassedSocket, StreamSocket};
use super::patience::Patience;
use super::stream::Stream;

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

/// Who may open a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// The gateway's user alone.
    Owner,
    /// Its group too: a proxy is another user.
    Group,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: Bound,
    patience: Patience,
    closing: CancellationToken,
    /// Once it is to close.
    closes_at: Option<Instant>,
}

/// Closes a listener that another task accepts from.
#[derive(Clone, Debug)]
pub struct ListenerCloser(CancellationToken);

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// `None`: systemd's.
        _file: Option<SocketFile>,
    },
}

/// The file of a Unix socket; goes with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
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
        let listener = bind_unix(path, opened_by).map_err(refused)?;
        let file = SocketFile {
            path: path.to_owned(),
            inode: inode(path),
        };
        Ok(Self::new(Bound::Unix {
            listener,
            _file: Some(file),
        }))
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

    fn new(socket: Bound) -> Self {
        Self {
            socket,
            patience: Patience::new(),
            closing: CancellationToken::new(),
            closes_at: None,
        }
    }

    /// The TCP address it is bound to, with the port the system chose for port 0.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix { .. } => None,
        }
    }

    /// What closes it.
    pub fn closer(&self) -> ListenerCloser {
        ListenerCloser(self.closing.clone())
    }

    /// The next client; `None` a moment after it was told to close: the system may have completed connections by then that
    /// nobody has been told of.
    pub async fn accept(&mut self) -> Option<(Stream, Peer)> {
        let (socket, closing, closes_at) = (&self.socket, &self.closing, &mut self.closes_at);
        let end = async {
            closing.cancelled().await;
            sleep_until(*closes_at.get_or_insert_with(|| Instant::now() + LAST_CLIENTS)).await;
        };
        tokio::select! {
            biased;
            () = end => None,
            client = self.patience.accept(|| socket.accept()) => Some(client),
        }
    }
}

impl ListenerCloser {
    /// Has it close, once those are accepted that have connected.
    pub fn close(&self) {
        self.0.cancel();
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

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another gateway may have taken the path over.
        if self.inode.is_some() && inode(&self.path) == self.inode {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|found| found.ino())
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
            _file: None,
        }),
    }
}

fn bind_unix(path: &Path, opened_by: OpenedBy) -> io::Result<UnixListener> {
    let owner = Mode::RUSR | Mode::WUSR;
    let (mode, bits) = match opened_by {
        OpenedBy::Owner => (owner, 0o600),
        OpenedBy::Group => (owner | Mode::RGRP | Mode::WGRP, 0o660),
    };
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the mode of the socket, so that it is never open to others; elsewhere it
    // is closed right after.
    rustix::fs::fchmod(&socket, mode)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, PermissionsExt::from_mode(bits))?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Removes the socket file of a gateway that is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests;
