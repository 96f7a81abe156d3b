//! Serves the local CA's certificate, with the page about it, for as long as `gatepost trust --show` runs.
//!
//! It listens at every address, whatever `server.http` says, since phones shall come; and at another port where a
//! gateway has that one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::error::StartError;
use crate::config::{Config, ListenAddress};
use crate::net::drain::Drain;
use crate::net::interfaces;
use crate::net::listener::{ListenError, Listener};
use crate::server::ca_page::{CaPage, CaPageContent};
use crate::server::serve::Server;
use crate::server::service::ServerLimits;
use crate::trust::{CaCertificate, QrCode};

/// A few people with their phones.
const CONNECTIONS: usize = 64;
const REFUSED: usize = 16;
/// How long an answer that is under way may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A page that is about to be served.
#[derive(Debug)]
pub struct CaPageServer {
    listener: Listener,
    limits: ServerLimits,
    urls: Vec<String>,
    taken: Option<u16>,
}

impl CaPageServer {
    /// Binds the port of `server.http`, or any other where that is taken.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let port = config.server.http.iter().find_map(|at| match at {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        });
        let wanted = port.unwrap_or(0);
        let at = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let (listener, taken) = match Listener::bind(at(wanted)) {
            Ok(listener) => (listener, None),
            Err(ListenError::Tcp { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
                (Listener::bind(at(0))?, Some(wanted))
            }
            Err(error) => return Err(error.into()),
        };
        let port = listener.local_address().map_or(0, |address| address.port());
        Ok(Self {
            urls: urls(&interfaces::addresses(), port),
            limits: ServerLimits::new(&config.limits, CONNECTIONS, REFUSED),
            listener,
            taken,
        })
    }

    /// Where others on the network find it, the likeliest first; never empty.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The port of `server.http`, where somebody else has it.
    pub fn taken(&self) -> Option<u16> {
        self.taken
    }

    /// Serves until `shutdown` completes.
    pub async fn run(self, ca: &CaCertificate, shutdown: impl Future<Output = ()>) {
        let url = &self.urls[0];
        let content = CaPageContent {
            url,
            qr: &QrCode::of(url).map(|code| code.svg()).unwrap_or_default(),
            fingerprint: &ca.fingerprint(),
        };
        let page = Arc::new(CaPage::new(content, ca.der()));
        let drain = Drain::new();
        let watch = drain.watch();
        let server = Arc::new(Server::new(page, self.limits, watch.clone()));
        watch.spawn(server.run_plain(self.listener));
        shutdown.await;
        drain.drain(LAST_ANSWERS).await;
    }
}

/// Private addresses first: that is where phones are.
fn urls(own: &[IpAddr], port: u16) -> Vec<String> {
    let own = own.iter().filter_map(|address| match address {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_link_local() => Some(*address),
        _ => None,
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|address| !address.is_private());
    if own.is_empty() {
        own.push(Ipv4Addr::LOCALHOST);
    }
    own.iter()
        .map(|address| format!("http://{address}:{port}/"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_sent_to_a_private_address_first() {
        let own = [
            "127.0.0.1",
            "8.8.4.4",
            "169.254.1.1",
            "192.168.1.5",
            "2001:db8::5",
        ];
        let own = own.map(|address| address.parse().unwrap());
        assert_eq!(
            urls(&own, 8080),
            ["http://192.168.1.5:8080/", "http://8.8.4.4:8080/"]
        );
        assert_eq!(urls(&own[..1], 8080), ["http://127.0.0.1:8080/"]);
    }
}
