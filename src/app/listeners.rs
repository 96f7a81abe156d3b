//! Binds every listener of a configuration, and after a reload those that are new in it.
//!
//! Used by the composition root alone. All are bound before anything is served, so that a busy port is found
//! before the first client is let in; and one that stays in the configuration stays bound, with the port that
//! it got. What systemd passes is not bound, but taken.

use std::net::{Ipv4Addr, SocketAddr};

use super::named_sockets::misfit;
use crate::config::{ListenAddress, ServerConfig};
use crate::net::listener::{ListenError, Listener, ListenerCloser, OpenedBy};
use crate::net::passed::{PassedError, PassedSocket};

/// Listeners that are bound.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) https: Vec<OpenListener>,
    pub(super) http: Vec<OpenListener>,
    pub(super) internal: Option<OpenListener>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct OpenListener {
    /// Where gateway.toml has it.
    configured: ListenAddress,
    /// Where it is, with the port that the system chose for port 0.
    local: Option<SocketAddr>,
    closer: ListenerCloser,
    opened_by: Opener,
    /// Until somebody accepts from it.
    unserved: Option<Listener>,
}

/// Who opened a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    Gateway,
    /// It goes on listening when the gateway does not.
    Systemd {
        takes_ipv4: bool,
    },
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
    /// Takes those that systemd passes, and binds all others.
    pub(super) fn bind(
        config: &ServerConfig,
        passed: Vec<PassedSocket>,
    ) -> Result<Self, ListenError> {
        let mut all = Self::take(config, passed)?;
        if all.internal.is_none() {
            let internal = match &config.internal {
                ListenAddress::Tcp(address) => Listener::bind(*address)?,
                ListenAddress::Unix(path) => Listener::bind_unix(path, OpenedBy::Owner)?,
            };
            all.internal = Some(OpenListener::new(config.internal.clone(), internal));
        }
        let further = all.bind_further(config)?;
        all.https.extend(further.https);
        all.http.extend(further.http);
        Ok(all)
    }

    /// Takes each that is at an address of the configuration.
    fn take(config: &ServerConfig, passed: Vec<PassedSocket>) -> Result<Self, ListenError> {
        let mut all = Self::default();
        for socket in passed {
            let is_it = |at: &SocketAddr| ListenAddress::Tcp(*at) == socket.address;
            if config.https.iter().any(is_it) {
                all.https.push(OpenListener::take(socket)?);
            } else if config.http.contains(&socket.address) {
                all.http.push(OpenListener::take(socket)?);
            } else if config.internal == socket.address {
                all.internal = Some(OpenListener::take(socket)?);
            } else {
                return Err(misfit(&socket, config).into());
            }
        }
        Ok(all)
    }

    /// Binds what a configuration has and these have not; the internal listener stays. Refused where it lacks one that
    /// systemd passed: clients would connect there, and nobody would answer.
    pub(super) fn bind_further(&self, config: &ServerConfig) -> Result<Self, ListenError> {
        let https: Vec<_> = config
            .https
            .iter()
            .copied()
            .map(ListenAddress::Tcp)
            .collect();
        keep_passed("https", &self.https, &https)?;
        keep_passed("http", &self.http, &config.http)?;
        Ok(Self {
            https: bind_missing(&self.https, &https)?,
            http: bind_missing(&self.http, &config.http)?,
            internal: None,
        })
    }

    /// Takes those in that were bound further, and closes those that a configuration has no more.
    pub(super) fn adopt(&mut self, further: Self, config: &ServerConfig) {
        let is_https = |at: &ListenAddress| {
            let mut https = config.https.iter().copied().map(ListenAddress::Tcp);
            https.any(|configured| configured == *at)
        };
        close_others(&mut self.https, is_https);
        close_others(&mut self.http, |at| config.http.contains(at));
        self.https.extend(further.https);
        self.http.extend(further.http);
    }

    pub(super) fn addresses(&self) -> BoundAddresses {
        let all =
            |open: &[OpenListener]| open.iter().filter_map(|listener| listener.local).collect();
        BoundAddresses {
            https: all(&self.https),
            http: all(&self.http),
            internal: self.internal.as_ref().and_then(|listener| listener.local),
        }
    }

    /// The port of HTTPS, with those that are bound further.
    pub(super) fn https_port(&self, further: &Self, config: &ServerConfig) -> Option<u16> {
        config.https.iter().find_map(|configured| {
            let at = ListenAddress::Tcp(*configured);
            let mut all = self.https.iter().chain(&further.https);
            let open = all.find(|listener| listener.configured == at)?;
            open.local.map(|address| address.port())
        })
    }
}

impl OpenListener {
    fn new(configured: ListenAddress, listener: Listener) -> Self {
        Self {
            configured,
            local: listener.local_address(),
            closer: listener.closer(),
            opened_by: Opener::Gateway,
            unserved: Some(listener),
        }
    }

    fn take(socket: PassedSocket) -> Result<Self, ListenError> {
        let (name, address) = (socket.name.clone(), socket.address.clone());
        let takes_ipv4 = socket.takes_ipv4();
        let listener = Listener::passed(socket)?;
        tracing::info!(%address, name, "systemd passes the socket");
        Ok(Self {
            opened_by: Opener::Systemd { takes_ipv4 },
            ..Self::new(address, listener)
        })
    }

    /// Whether clients of this address come to it.
    fn serves(&self, address: &ListenAddress) -> bool {
        if self.configured == *address {
            return true;
        }
        let (ListenAddress::Tcp(own), ListenAddress::Tcp(at)) = (&self.configured, address) else {
            return false;
        };
        self.opened_by == Opener::Systemd { takes_ipv4: true }
            && own.ip().is_unspecified()
            && *at == SocketAddr::from((Ipv4Addr::UNSPECIFIED, own.port()))
    }

    /// The listener, for who accepts from it. `Some` only once.
    pub(super) fn serve(&mut self) -> Option<Listener> {
        self.unserved.take()
    }
}

fn keep_passed(
    key: &'static str,
    open: &[OpenListener],
    configured: &[ListenAddress],
) -> Result<(), PassedError> {
    let mut passed = open
        .iter()
        .filter(|listener| listener.opened_by != Opener::Gateway);
    match passed.find(|listener| !configured.contains(&listener.configured)) {
        Some(gone) => Err(PassedError::Gone {
            key,
            address: gone.configured.clone(),
        }),
        None => Ok(()),
    }
}

fn close_others(open: &mut Vec<OpenListener>, stays: impl Fn(&ListenAddress) -> bool) {
    open.retain(|listener| {
        let stays = stays(&listener.configured);
        if !stays {
            tracing::info!(address = %listener.configured, "no longer listened at");
            listener.closer.close();
        }
        stays
    });
}

/// Binds every address that is not open, but for IPv6 ones that a machine without IPv6 does not have.
fn bind_missing(
    open: &[OpenListener],
    addresses: &[ListenAddress],
) -> Result<Vec<OpenListener>, ListenError> {
    let tcp: Vec<_> = addresses
        .iter()
        .filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        })
        .collect();
    let mut bound = Vec::new();
    for address in addresses {
        if open.iter().any(|listener| listener.serves(address)) {
            continue;
        }
        let listener = match address {
            ListenAddress::Unix(path) => Listener::bind_unix(path, OpenedBy::Group),
            ListenAddress::Tcp(at) => Listener::bind_beside(*at, &tcp),
        };
        match listener {
            Ok(listener) => bound.push(OpenListener::new(address.clone(), listener)),
            Err(error) if error.is_for_want_of_ipv6() && !(bound.is_empty() && open.is_empty()) => {
                tracing::info!(%address, "not listened at, this machine has no IPv6");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}
