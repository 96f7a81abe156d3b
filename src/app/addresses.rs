//! This machine's own addresses, which come and go while the gateway runs.
//!
//! Used by the composition root alone. The surprise: certificate and hosts each look by themselves,
//! since the certificate also watches its files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use crate::config::Mode;
use crate::net::interfaces;

/// How often this machine's addresses are looked at.
const LOOK_AT_ADDRESSES: Duration = Duration::from_secs(5);

impl Gateway {
    /// Keeps certificate and hosts in step with this machine's addresses.
    pub(super) fn watch_addresses(&self) {
        let (mode, lan) = (self.config.mode, self.config.server.lan);
        let store = Arc::clone(&self.store);
        let drain = self.drain.watch();
        let watch = async move {
            tokio::select! {
                () = store.watch(move || own_addresses(mode, lan)) => {}
                () = drain.draining() => {}
            }
        };
        self.drain.watch().spawn(watch);
        let (hosts, drain) = (Arc::clone(&self.hosts), self.drain.watch());
        let watch = async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AT_ADDRESSES) => {}
                    () = drain.draining() => return,
                }
                hosts.set_addresses(own_addresses(mode, lan));
            }
        };
        self.drain.watch().spawn(watch);
    }
}

/// The addresses that count as names of this origin: in dev loopback and, with `lan`, all others of
/// this machine.
pub(super) fn own_addresses(mode: Mode, lan: bool) -> Vec<IpAddr> {
    match mode {
        Mode::Dev if lan => interfaces::addresses(),
        Mode::Dev => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Mode::Production => Vec::new(),
    }
}
