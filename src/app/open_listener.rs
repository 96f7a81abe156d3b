//! One listener that is bound, whoever opened it.
//!
//! Kept by `listeners`.

use std::net::{Ipv4Addr, SocketAddr};

use super::upgrade::{InheritedListener, ListenerKey};
use crate::config::ListenAddress;
use crate::net::listener::{ListenError, Listener, ListenerHandle};
use crate::net::passed::PassedSocket;

/// A listener that is bound.
#[derive(Debug)]
pub(super) struct OpenListener {
    /// Where gateway.toml has it.
    pub(super) configured: ListenAddress,
    /// Where it is, with the port that the system chose for port 0.
    pub(super) local: Option<SocketAddr>,
    pub(super) handle: ListenerHandle,
    pub(super) opened_by: Opener,
    /// Until somebody accepts from it.
    unserved: Option<Listener>,
}

/// Who opened a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    Gateway,
    /// It goes on listening when the gateway does not.
    Systemd {
        name: String,
        takes_ipv4: bool,
    },
}

impl OpenListener {
    pub(super) fn new(configured: ListenAddress, listener: Listener) -> Self {
        Self {
            configured,
            local: listener.local_address(),
            handle: listener.handle(),
            opened_by: Opener::Gateway,
            unserved: Some(listener),
        }
    }

    pub(super) fn take(socket: PassedSocket) -> Result<Self, ListenError> {
        let (name, address) = (socket.name.clone(), socket.address.clone());
        let takes_ipv4 = socket.takes_ipv4();
        let listener = Listener::passed(socket)?;
        tracing::info!(%address, name, "systemd passes the socket");
        Ok(Self {
            opened_by: Opener::Systemd { name, takes_ipv4 },
            ..Self::new(address, listener)
        })
    }

    /// How another process is told of it.
    pub(super) fn told(&self, key: ListenerKey) -> InheritedListener {
        InheritedListener {
            key,
            at: self.configured.clone().into(),
            unit: match &self.opened_by {
                Opener::Gateway => None,
                Opener::Systemd { name, .. } => Some(name.clone()),
            },
        }
    }

    /// Whether clients of this address come to it.
    pub(super) fn serves(&self, address: &ListenAddress) -> bool {
        if self.configured == *address {
            return true;
        }
        let (ListenAddress::Tcp(own), ListenAddress::Tcp(at)) = (&self.configured, address) else {
            return false;
        };
        let takes_ipv4 = matches!(self.opened_by, Opener::Systemd { takes_ipv4, .. } if takes_ipv4);
        takes_ipv4
            && own.ip().is_unspecified()
            && *at == SocketAddr::from((Ipv4Addr::UNSPECIFIED, own.port()))
    }

    /// The listener, for who accepts from it. `Some` only once.
    pub(super) fn serve(&mut self) -> Option<Listener> {
        self.unserved.take()
    }
}
