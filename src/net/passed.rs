//! Listening sockets that systemd has opened and passes on: socket activation, `sd_listen_fds(3)`.
//!
//! Taken by `run`, put to use by the composition root. The surprise: they have to be taken before there are threads,
//! since the variables that name them are removed, so that no child takes them for its own.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::{SockRef, Socket};
use thiserror::Error;

use crate::config::ListenAddress;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;
/// The bit of a socket file's mode that lets everybody connect.
const OPEN_TO_ALL: u32 = 0o002;
/// What is wrong with a descriptor that is something else.
const NO_LISTENER: &str = "is no listening stream socket; write ListenStream= for it in the .socket unit, and not Accept=yes";

/// A listening socket that systemd passed.
#[derive(Debug)]
pub struct PassedSocket {
    /// `FileDescriptorName=` of the unit; the unit's own name where it says none.
    pub name: String,
    /// Where it listens.
    pub address: ListenAddress,
    socket: StreamSocket,
}

/// The socket itself.
#[derive(Debug)]
pub(super) enum StreamSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why sockets that systemd passes cannot be used, and what to write in the `.socket` unit.
#[derive(Debug, Error)]
pub enum PassedError {
    /// What the variables say cannot be so.
    #[error(
        "LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES do not say which sockets systemd passes; see \
         sd_listen_fds(3), or unset them"
    )]
    Variables(#[source] io::Error),
    /// A descriptor is something else.
    #[error("descriptor {number} that systemd passes (`{name}`) {fault}")]
    Unusable {
        /// Its number.
        number: usize,
        /// Its name.
        name: String,
        /// What is wrong, and what to write.
        fault: &'static str,
    },
    /// Two are at one address.
    #[error(
        "systemd passes {address} twice, the second time as `{name}`; write its ListenStream= once, \
         in one .socket unit"
    )]
    Twice {
        /// The second one's name.
        name: String,
        /// The address.
        address: ListenAddress,
    },
    /// No listener of the configuration is this one.
    #[error("systemd passes {address} (`{name}`), which fits no listener of gateway.toml; {hint}")]
    FitsNothing {
        /// Its name.
        name: String,
        /// Its address.
        address: ListenAddress,
        /// What to write.
        hint: String,
    },
    /// A configuration that is read again has it no more.
    #[error(
        "systemd listens on {address}, which server.{key} has no more: only a restart changes \
         that; restart the .socket unit with the address it shall have, and the gateway"
    )]
    Gone {
        /// The key of `[server]`.
        key: &'static str,
        /// The address.
        address: ListenAddress,
    },
    /// The system refuses it.
    #[error("cannot listen on {address}, which systemd passes (`{name}`)")]
    Adopting {
        /// Its name.
        name: String,
        /// Its address.
        address: ListenAddress,
        /// Why not.
        source: io::Error,
    },
}

impl PassedSocket {
    /// One that came from the gateway before, under this name.
    pub(super) fn from_descriptor(
        name: String,
        address: ListenAddress,
        descriptor: OwnedFd,
    ) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        if !socket.is_listener()? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = match address {
            ListenAddress::Tcp(_) => StreamSocket::Tcp(socket.into()),
            ListenAddress::Unix(_) => StreamSocket::Unix(UnixListener::from(OwnedFd::from(socket))),
        };
        Ok(Self {
            name,
            address,
            socket,
        })
    }

    /// Whether IPv4 clients of its port come to it too, although it is at an IPv6 address.
    pub fn takes_ipv4(&self) -> bool {
        match (&self.socket, &self.address) {
            (StreamSocket::Tcp(listener), ListenAddress::Tcp(at)) if at.is_ipv6() => {
                SockRef::from(listener).only_v6().is_ok_and(|only| !only)
            }
            _ => false,
        }
    }

    /// The socket, made non-blocking.
    pub(super) fn into_socket(self) -> io::Result<StreamSocket> {
        match &self.socket {
            StreamSocket::Tcp(listener) => listener.set_nonblocking(true)?,
            StreamSocket::Unix(listener) => listener.set_nonblocking(true)?,
        }
        Ok(self.socket)
    }
}

/// Takes what systemd passes to this very process, once; nothing where it does not. Children inherit none of it, but for
/// the variable `LISTEN_FDNAMES`.
pub fn take() -> Result<Vec<PassedSocket>, PassedError> {
    // This knows names, and that they are for this process; the other makes sockets of them.
    let named = sd_notify::listen_fds_with_names().map(Iterator::collect::<Vec<_>>);
    let mut descriptors = ListenFd::from_env();
    let named = named.map_err(PassedError::Variables)?;
    let mut passed: Vec<PassedSocket> = Vec::new();
    for (index, (_, name)) in named.into_iter().enumerate() {
        let (socket, address) = match stream_socket(&mut descriptors, index) {
            Ok(found) => found,
            Err(fault) => {
                let number = FIRST + index;
                return Err(PassedError::Unusable {
                    number,
                    name,
                    fault,
                });
            }
        };
        if passed.iter().any(|other| other.address == address) {
            return Err(PassedError::Twice { name, address });
        }
        passed.push(PassedSocket {
            name,
            address,
            socket,
        });
    }
    Ok(passed)
}

fn stream_socket(
    descriptors: &mut ListenFd,
    index: usize,
) -> Result<(StreamSocket, ListenAddress), &'static str> {
    if let Ok(Some(listener)) = descriptors.take_tcp_listener(index) {
        listens(&SockRef::from(&listener))?;
        let address = listener.local_addr().map_err(|_| NO_LISTENER)?;
        return Ok((StreamSocket::Tcp(listener), ListenAddress::Tcp(address)));
    }
    let Ok(Some(listener)) = descriptors.take_unix_listener(index) else {
        return Err(NO_LISTENER);
    };
    listens(&SockRef::from(&listener))?;
    let address = listener.local_addr().map_err(|_| NO_LISTENER)?;
    let path = address.as_pathname().ok_or(
        "has no file, so that everybody on this machine may connect; write ListenStream= with a path",
    )?;
    // Who can connect may publish, or say what proxies say.
    let mode = fs::metadata(path).map(|found| found.permissions().mode());
    if !mode.is_ok_and(|mode| mode & OPEN_TO_ALL == 0) {
        return Err(
            "may be opened by everybody on this machine; write SocketMode=0660 in the .socket unit",
        );
    }
    let address = ListenAddress::Unix(path.to_owned());
    Ok((StreamSocket::Unix(listener), address))
}

fn listens(socket: &SockRef<'_>) -> Result<(), &'static str> {
    match socket.is_listener() {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(NO_LISTENER),
    }
}
