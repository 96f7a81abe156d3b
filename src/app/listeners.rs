//! Binds every listener of a configuration, and after a reload those that are new in it.
//!
//! Used by the composition root alone. All are bound before anything is served, so that a busy port is found
//! before the first client is let in; and one that stays in the configuration stays bound, with the port that
//! it got. What systemd passes is not bound, but taken.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::named_sockets::misfit;
use super::open_listener::{OpenListener, Opener};
use super::upgrade::{InheritedListener, InheritedSocket, ListenerKey};
use crate::config::{ListenAddress, ServerConfig};
use crate::net::listener::{ListenError, Listener, OpenedBy};
use crate::net::passed::{PassedError, PassedSocket};

/// Listeners that are bound.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) https: Vec<OpenListener>,
    pub(super) http: Vec<OpenListener>,
    pub(super) internal: Option<OpenListener>,
}

/// Listeners that are open before the gateway is there.
#[derive(Debug, Default)]
pub(super) struct OpenSockets {
    /// By systemd.
    pub(super) passed: Vec<PassedSocket>,
    /// By the gateway before.
    pub(super) inherited: Vec<InheritedSocket>,
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

impl OpenSockets {
    /// What the gateway before had.
    pub(super) fn of(sockets: Vec<InheritedSocket>) -> Self {
        let is_passed = |socket: &InheritedSocket| socket.listener.unit.is_some();
        let (passed, inherited) = sockets.into_iter().partition::<Vec<_>, _>(is_passed);
        let passed = passed.into_iter().map(|inherited| inherited.socket);
        Self {
            passed: passed.collect(),
            inherited,
        }
    }
}

impl Listeners {
    /// Takes those that are open, and binds all others.
    pub(super) fn bind(config: &ServerConfig, open: OpenSockets) -> Result<Self, ListenError> {
        let mut all = Self::take(config, open.passed)?;
        for inherited in open.inherited {
            all.inherit(config, inherited)?;
        }
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

    /// Takes one of the gateway before, where the configuration still has it.
    fn inherit(
        &mut self,
        config: &ServerConfig,
        inherited: InheritedSocket,
    ) -> Result<(), ListenError> {
        let at = inherited.socket.address.clone();
        let key = inherited.listener.key;
        let stays = match key {
            ListenerKey::Https => {
                matches!(&at, ListenAddress::Tcp(at) if config.https.contains(at))
            }
            ListenerKey::Http => config.http.contains(&at),
            ListenerKey::Internal => config.internal == at,
        };
        if !stays {
            tracing::info!(address = %at, "no longer listened at");
            return Ok(());
        }
        let listener = OpenListener::new(at, Listener::inherited(inherited.socket)?);
        match key {
            ListenerKey::Https => self.https.push(listener),
            ListenerKey::Http => self.http.push(listener),
            ListenerKey::Internal => self.internal = Some(listener),
        }
        Ok(())
    }

    /// All of them once more, for another process.
    pub(super) fn duplicate(&self) -> io::Result<Vec<(InheritedListener, OwnedFd)>> {
        let mut all = Vec::new();
        for (key, listener) in self.keyed() {
            if let Some(descriptor) = listener.handle.duplicate() {
                all.push((listener.told(key), descriptor?));
            }
        }
        Ok(all)
    }

    /// Leaves all of them to another process, which has them already.
    pub(super) fn let_go(&self) {
        self.keyed()
            .for_each(|(_, listener)| listener.handle.let_go());
    }

    fn keyed(&self) -> impl Iterator<Item = (ListenerKey, &OpenListener)> {
        let of = |key| move |listener| (key, listener);
        let https = self.https.iter().map(of(ListenerKey::Https));
        let http = self.http.iter().map(of(ListenerKey::Http));
        let internal = self.internal.iter().map(of(ListenerKey::Internal));
        https.chain(http).chain(internal)
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
            listener.handle.close();
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
