//! Binds every listener of the configuration.
//!
//! Used by the composition root alone. The surprise: all are bound before anything is served, so that
//! a busy port is found before the first client is let in.

use std::net::SocketAddr;

use crate::config::{InternalAddress, ServerConfig};
use crate::net::listener::{ListenError, Listener};

/// The bound listeners.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) https: Vec<Listener>,
    pub(super) http: Vec<Listener>,
    pub(super) internal: Option<Listener>,
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The origin itself.
    pub https: Vec<SocketAddr>,
    /// Redirects to it.
    pub http: Vec<SocketAddr>,
    /// The internal listener, unless it is a Unix socket.
    pub internal: Option<SocketAddr>,
}

impl Listeners {
    pub(super) fn bind(config: &ServerConfig) -> Result<Self, ListenError> {
        let all = |addresses: &[SocketAddr]| {
            addresses
                .iter()
                .map(|address| Listener::bind(*address))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            https: all(&config.https)?,
            http: all(&config.http)?,
            internal: Some(match &config.internal {
                InternalAddress::Tcp(address) => Listener::bind(*address)?,
                InternalAddress::Unix(path) => Listener::bind_unix(path)?,
            }),
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let all = |listeners: &[Listener]| {
            listeners
                .iter()
                .filter_map(Listener::local_address)
                .collect()
        };
        Addresses {
            https: all(&self.https),
            http: all(&self.http),
            internal: self.internal.as_ref().and_then(Listener::local_address),
        }
    }
}
