//! What the log says once a gateway is ready: where it listens, and who can reach it.
//!
//! Used by `run`. In dev Django's DEBUG pages show settings and code, so a gateway that is open to
//! the network says so at each start, with the addresses.

use std::net::{IpAddr, SocketAddr};

use tracing::field::display;
use tracing::{info, warn};

use crate::app::Gateway;
use crate::config::{ListenAddress, Mode, ServerConfig};
use crate::net::interfaces;

/// Said of a gateway whose every client may claim to be a proxy.
const TRUSTS_EVERYBODY: &str = "server.trusted_proxies is the whole Internet: everybody can claim to be anybody, \
    which is right only where nothing but a proxy reaches this gateway";

/// Says that the gateway is ready.
pub(super) fn log(gateway: &Gateway, mode: Mode, server: &ServerConfig) {
    let addresses = gateway.addresses();
    let internal = match addresses.internal {
        Some(address) => address.to_string(),
        None => server.internal.to_string(),
    };
    let sockets = server
        .http
        .iter()
        .filter(|at| matches!(at, ListenAddress::Unix(_)));
    let http = addresses.http.iter().map(ToString::to_string);
    let http: Vec<_> = http.chain(sockets.map(ToString::to_string)).collect();
    let (https, http) = (joined(&addresses.https), http.join(","));
    let ca_file = gateway.ca_file();
    let ca = ca_file.as_ref().map(|ca| display(ca.display()));
    let url = url(
        server.hosts.iter().find(|host| !host.starts_with("*.")),
        addresses.https.first(),
    );
    if server.proxies.trusted.trusts_everybody() {
        warn!("{TRUSTS_EVERYBODY}");
    }
    let named = match mode {
        Mode::Dev => "dev",
        Mode::Production => "production",
    };
    info!(%https, %http, %internal, mode = %named, ca, url, "ready");
    let own = interfaces::addresses();
    let open = open_to_network(&addresses.https, &own);
    if let Some(said) = openness(mode, server.lan, open.is_empty()) {
        let urls: Vec<_> = open.iter().map(|at| format!("https://{at}/")).collect();
        warn!(addresses = %urls.join(" "), "{said}");
    }
}

/// What to say about who can reach it, where the configuration suggests otherwise.
fn openness(mode: Mode, lan: bool, closed: bool) -> Option<&'static str> {
    match (mode, lan, closed) {
        (Mode::Production, true, _) => Some(
            "server.lan counts in dev only: in production only the names in server.hosts are answered",
        ),
        (Mode::Dev, true, false) => Some(
            "server.lan: everybody on the network can reach this gateway, and with it Django's DEBUG \
             pages, which show settings and code",
        ),
        (Mode::Dev, false, false) => Some(
            "server.https listens beyond this machine: everybody on the network can reach this \
             gateway, and with it Django's DEBUG pages, which show settings and code; with a port \
             alone it is for this machine only",
        ),
        (Mode::Dev, true, true) => Some(
            "server.lan is true, but server.https keeps the network out: write its port alone, such \
             as \"8443\"",
        ),
        (Mode::Production, false, _) | (Mode::Dev, false, true) => None,
    }
}

/// Addresses of this machine at which others reach these listeners.
fn open_to_network(listeners: &[SocketAddr], own: &[IpAddr]) -> Vec<SocketAddr> {
    let mut open: Vec<_> = listeners
        .iter()
        .flat_map(|listener| {
            let at = |ip: &IpAddr| SocketAddr::new(*ip, listener.port());
            if listener.ip().is_unspecified() {
                let reached = own.iter().filter(|ip| listener.is_ipv6() || ip.is_ipv4());
                reached.map(at).collect()
            } else {
                vec![*listener]
            }
        })
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .collect();
    open.sort_unstable();
    open.dedup();
    open
}

/// What to type into a browser.
fn url(host: Option<&String>, address: Option<&SocketAddr>) -> Option<String> {
    // Without HTTPS of its own it is a proxy's, at the usual port.
    let (host, port) = (host?, address.map_or(443, SocketAddr::port));
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.clone(),
    };
    Some(match port {
        443 => format!("https://{host}/"),
        port => format!("https://{host}:{port}/"),
    })
}

fn joined(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_first_host_with_its_port_unless_that_goes_without_saying() {
        for (host, address, expected) in [
            ("localhost", "0.0.0.0:8443", "https://localhost:8443/"),
            ("app.test", "[::]:443", "https://app.test/"),
            ("::1", "[::1]:8443", "https://[::1]:8443/"),
        ] {
            let url = url(Some(&host.to_owned()), Some(&address.parse().unwrap()));
            assert_eq!(url.as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_network_reaches_all_addresses_but_loopback() {
        let own = ["127.0.0.1", "192.168.1.5", "::1", "2001:db8::5"];
        let own = own.map(|address| address.parse().unwrap());
        let open = |listeners: &[&str]| {
            let listeners: Vec<_> = listeners.iter().map(|at| at.parse().unwrap()).collect();
            joined(&open_to_network(&listeners, &own))
        };
        assert_eq!(open(&["127.0.0.1:1", "[::1]:1", "127.0.0.9:1"]), "");
        assert_eq!(open(&["0.0.0.0:1"]), "192.168.1.5:1");
        assert_eq!(open(&["192.168.1.5:1", "127.0.0.1:1"]), "192.168.1.5:1");
        let both = "192.168.1.5:1,[2001:db8::5]:1";
        assert_eq!(open(&["[::]:1"]), both);
        assert_eq!(open(&["0.0.0.0:1", "[::]:1"]), both);
    }

    #[test]
    fn a_gateway_that_is_open_although_nobody_would_expect_it_says_so() {
        for quiet in [
            (Mode::Dev, false, true),
            (Mode::Production, false, false),
            (Mode::Production, false, true),
        ] {
            assert_eq!(openness(quiet.0, quiet.1, quiet.2), None);
        }
        let said = |mode, lan, closed| openness(mode, lan, closed).unwrap();
        assert!(said(Mode::Dev, true, false).starts_with("server.lan: everybody"));
        assert!(said(Mode::Dev, false, false).contains("server.https listens beyond"));
        assert!(said(Mode::Dev, true, true).contains("keeps the network out"));
        assert!(said(Mode::Production, true, false).contains("in dev only"));
    }
}
