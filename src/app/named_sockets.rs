//! Listeners whose addresses the `.socket` unit decides: sockets that systemd passes under the name of a key.
//!
//! Put into every configuration before anything else sees it, at the start and at each reload.

use std::net::SocketAddr;

use crate::config::{ListenAddress, ServerConfig};
use crate::net::passed::{PassedError, PassedSocket};

/// In place of what gateway.toml has; empty where nothing of the name is passed.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedSockets {
    https: Vec<SocketAddr>,
    http: Vec<ListenAddress>,
    internal: Option<ListenAddress>,
}

impl NamedSockets {
    /// Finds those among the sockets that have a key's name. Refused is what the configuration does not allow.
    pub(super) fn among(
        sockets: &[PassedSocket],
        server: &ServerConfig,
    ) -> Result<Self, PassedError> {
        let mut named = Self::default();
        for socket in sockets {
            if !named.add(socket, server) {
                return Err(misfit(socket, server));
            }
        }
        Ok(named)
    }

    /// Whether it fits.
    fn add(&mut self, socket: &PassedSocket, server: &ServerConfig) -> bool {
        let address = &socket.address;
        match (socket.name.as_str(), address) {
            ("https", ListenAddress::Tcp(at)) => {
                self.https.push(*at);
                !server.https.is_empty()
            }
            ("https", ListenAddress::Unix(_)) => false,
            ("http", _) => {
                self.http.push(address.clone());
                is_allowed(&server.http, address)
            }
            ("internal", _) => {
                let is_first = self.internal.replace(address.clone()).is_none();
                is_first && is_as_near(&server.internal, address)
            }
            _ => true,
        }
    }

    /// Has a configuration listen there.
    pub(super) fn put_into(&self, server: &mut ServerConfig) {
        if !self.https.is_empty() {
            replace("https", &mut server.https, &self.https);
        }
        if !self.http.is_empty() {
            replace("http", &mut server.http, &self.http);
        }
        if let Some(internal) = &self.internal {
            replace("internal", &mut server.internal, internal);
        }
    }
}

fn replace<T: Clone + PartialEq>(key: &str, configured: &mut T, passed: &T) {
    if configured != passed {
        tracing::info!(
            "the addresses of server.{key} do not count: systemd passes sockets of the name {key}"
        );
        configured.clone_from(passed);
    }
}

/// Who opens a Unix socket is believed what proxies say, so gateway.toml has to name it.
fn is_allowed(configured: &[ListenAddress], address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(_) => !configured.is_empty(),
        ListenAddress::Unix(_) => configured.contains(address),
    }
}

/// Health and publishing are as near as gateway.toml has them: at another port at most.
fn is_as_near(configured: &ListenAddress, address: &ListenAddress) -> bool {
    match (configured, address) {
        (ListenAddress::Tcp(configured), ListenAddress::Tcp(at)) => configured.ip() == at.ip(),
        _ => configured == address,
    }
}

/// A socket that is no listener's, with what would be one's.
pub(super) fn misfit(socket: &PassedSocket, server: &ServerConfig) -> PassedError {
    let https = server.https.iter().copied().map(ListenAddress::Tcp);
    let hint = match socket.name.as_str() {
        "https" => format!(
            "`https` is for TCP sockets, where server.https is not \"\": write ListenStream={} in the .socket unit",
            streams(https)
        ),
        "http" => format!(
            "`http` is for TCP sockets where server.http is not \"\", and for the Unix sockets that it names: \
             write ListenStream={} in the .socket unit",
            streams(server.http.iter().cloned())
        ),
        "internal" => format!(
            "`internal` is one socket, as near as server.internal: write ListenStream={} in the .socket unit",
            streams([server.internal.clone()])
        ),
        _ => {
            let all = https.chain(server.http.iter().cloned());
            let all = streams(all.chain([server.internal.clone()]));
            format!(
                "write FileDescriptorName=https, http or internal in the .socket unit, or ListenStream= one of {all}"
            )
        }
    };
    PassedError::FitsNothing {
        name: socket.name.clone(),
        address: socket.address.clone(),
        hint,
    }
}

/// As `.socket` units spell addresses.
fn streams(addresses: impl IntoIterator<Item = ListenAddress>) -> String {
    let spelt = addresses.into_iter().map(|address| match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => path.display().to_string(),
    });
    spelt.collect::<Vec<_>>().join(", ")
}
