//! Why an address cannot be listened at, and what to do about it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use super::passed::PassedError;

/// Why an address cannot be listened at.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A TCP address.
    #[error("cannot listen on {address}; {}", tcp_hint(*address, source))]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A Unix socket.
    #[error("cannot listen on unix:{}; {}", path.display(), unix_hint(source))]
    Unix {
        /// The socket file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A socket that systemd passed.
    #[error(transparent)]
    Passed(#[from] PassedError),
}

impl ListenError {
    /// Whether the machine has no IPv6, and all that is lost is a way to itself or from anywhere.
    pub fn is_for_want_of_ipv6(&self) -> bool {
        let Self::Tcp { address, source } = self else {
            return false;
        };
        let ip = address.ip();
        let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
        address.is_ipv6()
            && (ip.is_loopback() || ip.is_unspecified())
            && (source.kind() == ErrorKind::AddrNotAvailable
                || source.raw_os_error() == Some(unsupported))
    }
}

fn tcp_hint(address: SocketAddr, source: &io::Error) -> String {
    let port = address.port();
    match source.kind() {
        ErrorKind::AddrInUse => format!(
            "another program has the port: `ss -ltnp 'sport = :{port}'` shows which; stop it, or \
             choose another port"
        ),
        ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose a higher port, or \
             give it to the gateway's service"
                .to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those it has".to_owned()
        }
        _ => "look at the address".to_owned(),
    }
}

fn unix_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::AddrInUse => "another gateway serves there; stop it, or choose another path",
        ErrorKind::AlreadyExists => {
            "the file there is no socket; remove it, or choose another path"
        }
        ErrorKind::NotFound => "its folder does not exist; make it",
        ErrorKind::PermissionDenied => "the gateway's user may not write its folder",
        ErrorKind::InvalidInput => "the path is too long for a socket (about 100 bytes)",
        _ => "look at the path",
    }
}
