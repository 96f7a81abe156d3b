//! This machine's own addresses, which come and go while the gateway runs.
//!
//! Used by the composition root alone. Certificate and hosts each look by themselves, since the
//! certificate also watches its files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Mode};
use crate::net::drain::Drain;
use crate::net::interfaces;
use crate::tls::store::CertificateStore;
use crate::web::hosts::Hosts;

/// How often this machine's addresses are looked at.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(5);

/// The addresses that count as names of this origin: in dev loopback and, with `lan`, all others of
/// this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnAddresses {
    mode: Mode,
    lan: bool,
}

impl OwnAddresses {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            mode: config.mode,
            lan: config.server.lan,
        }
    }

    /// As they are now.
    pub(super) fn now(self) -> Vec<IpAddr> {
        match self.mode {
            Mode::Dev if self.lan => interfaces::addresses(),
            Mode::Dev => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Mode::Production => Vec::new(),
        }
    }

    /// Keeps the certificate in step with them.
    pub(super) fn follow_certificate(self, store: &Arc<CertificateStore>, drain: &Drain) {
        let (store, draining) = (Arc::clone(store), drain.watch());
        drain.watch().spawn(async move {
            tokio::select! {
                () = store.watch(move || self.now()) => {}
                () = draining.draining() => {}
            }
        });
    }

    /// Keeps the hosts in step with them.
    pub(super) fn follow_hosts(self, hosts: &Arc<Hosts>, drain: &Drain) {
        let (hosts, draining) = (Arc::clone(hosts), drain.watch());
        drain.watch().spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AT_ADDRESSES) => {}
                    () = draining.draining() => return,
                }
                hosts.set_addresses(self.now());
            }
        });
    }
}
