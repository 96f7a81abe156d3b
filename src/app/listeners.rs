//! Binds every listener of the configuration.
//!
//! Used by the composition root alone. The surprise: all are bound before anything is served, so that
//! a busy port is found before the first client is let in.

use std::net::SocketAddr;

use crate::config::{ListenAddress, ServerConfig};
use crate::net::listener::{ListenError, Listener, OpenedBy};

/// The bound listeners.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) https: Vec<Listener>,
    pub(super) http: Vec<Listener>,
    pub(super) internal: Option<Listener>,
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAddresses {
    /// The origin itself.
    pub https: Vec<SocketAddr>,
    /// Redirects to it, and is the origin for trusted proxies; without Unix sockets.
    pub http: Vec<SocketAddr>,
    /// The internal listener, unless it is a Unix socket.
    pub internal: Option<SocketAddr>,
}

impl Listeners {
    pub(super) fn bind(config: &ServerConfig) -> Result<Self, ListenError> {
        Ok(Self {
            https: bind_all(&config.https)?,
            http: bind_plain(&config.http)?,
            internal: Some(match &config.internal {
                ListenAddress::Tcp(address) => Listener::bind(*address)?,
                ListenAddress::Unix(path) => Listener::bind_unix(path, OpenedBy::Owner)?,
            }),
        })
    }

    pub(super) fn addresses(&self) -> BoundAddresses {
        let all = |listeners: &[Listener]| {
            listeners
                .iter()
                .filter_map(Listener::local_address)
                .collect()
        };
        BoundAddresses {
            https: all(&self.https),
            http: all(&self.http),
            internal: self.internal.as_ref().and_then(Listener::local_address),
        }
    }
}

/// Binds where plain HTTP is served.
fn bind_plain(addresses: &[ListenAddress]) -> Result<Vec<Listener>, ListenError> {
    let mut tcp = Vec::new();
    let mut bound = Vec::new();
    for address in addresses {
        match address {
            ListenAddress::Tcp(address) => tcp.push(*address),
            ListenAddress::Unix(path) => bound.push(Listener::bind_unix(path, OpenedBy::Group)?),
        }
    }
    bound.extend(bind_all(&tcp)?);
    Ok(bound)
}

/// Binds every address, but for IPv6 ones that a machine without IPv6 does not have.
fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Listener>, ListenError> {
    let mut bound = Vec::with_capacity(addresses.len());
    for address in addresses {
        match Listener::bind_beside(*address, addresses) {
            Ok(listener) => bound.push(listener),
            Err(error) if error.is_for_want_of_ipv6() && !bound.is_empty() => {
                tracing::info!(%address, "not listened at, this machine has no IPv6");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}
