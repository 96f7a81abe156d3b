//! Where the origin listens: addresses as they are written, or a port alone, whose addresses follow
//! from the mode and `server.lan`.
//!
//! Used by `[server]`. An address that is written is what it is, also in dev; only a port alone,
//! which is the default, stays on this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::kind::{ADDRESS, Hint, ValueKind};
use super::upstream::unix_path;

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What one string says.
#[derive(Clone, Debug)]
pub(super) enum ListenAt {
    /// This address.
    Address(SocketAddr),
    /// This port, at the usual addresses.
    Port(u16),
    /// This Unix socket.
    Unix(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// Who may reach a port that is written alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Programs on this machine.
    ThisMachine,
    /// Every machine that reaches this one.
    Everybody,
}

pub(super) const TLS_PLACE: ValueKind<ListenAt> = ValueKind {
    expected: "a port such as \"8443\", an IP address and a port such as \"127.0.0.1:8443\", or \"\" for none",
    parse: |text| {
        match text {
        "" => Ok(ListenAt::Nowhere),
        text if text.starts_with("unix:") => Err(Some(
            "a Unix socket needs no TLS: write it at server.http, with \"unix\" in server.trusted_proxies"
                .to_owned(),
        )),
        text => parse(text),
    }
    },
};

pub(super) const PLAIN_PLACE: ValueKind<ListenAt> = ValueKind {
    expected: "a port such as \"8080\", an IP address and a port such as \"127.0.0.1:8080\", \
               \"unix:/run/gatepost.sock\", or \"\" for none",
    parse: |text| match (text, text.strip_prefix("unix:")) {
        ("", _) => Ok(ListenAt::Nowhere),
        (_, Some(path)) => unix_path(path).map(ListenAt::Unix),
        (text, None) => parse(text),
    },
};

fn parse(text: &str) -> Result<ListenAt, Hint> {
    if let Some(port) = port(text) {
        return Ok(ListenAt::Port(port));
    }
    let colon = text.strip_prefix(':').and_then(port);
    let hint = colon.map(|port| format!("write \"{port}\""));
    (ADDRESS.parse)(text)
        .map(ListenAt::Address)
        .map_err(|other| hint.or(other))
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

impl ListenAt {
    /// The TCP addresses that are meant, IPv4 first: programs that know one address only take the first.
    pub(super) fn addresses(&self, exposure: Exposure) -> Vec<SocketAddr> {
        let both = |port, v4: Ipv4Addr, v6: Ipv6Addr| {
            let addresses = [IpAddr::V4(v4), IpAddr::V6(v6)];
            addresses.map(|address| (address, port).into()).into()
        };
        match (self, exposure) {
            (Self::Address(address), _) => vec![*address],
            (Self::Port(port), Exposure::ThisMachine) => {
                both(*port, Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
            }
            (Self::Port(port), Exposure::Everybody) => {
                both(*port, Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
            }
            (Self::Nowhere | Self::Unix(_), _) => Vec::new(),
        }
    }

    /// Where to listen, Unix sockets beside `folder` included.
    pub(super) fn listeners(self, exposure: Exposure, folder: &Path) -> Vec<ListenAddress> {
        match self {
            Self::Unix(path) => vec![ListenAddress::Unix(folder.join(path))],
            other => {
                let addresses = other.addresses(exposure).into_iter();
                addresses.map(ListenAddress::Tcp).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str, exposure: Exposure) -> Vec<String> {
        let place = (TLS_PLACE.parse)(text).unwrap();
        let addresses = place.addresses(exposure).into_iter();
        addresses.map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_port_alone_is_at_the_addresses_of_both_families() {
        let on_loopback = addresses("8443", Exposure::ThisMachine);
        assert_eq!(on_loopback, ["127.0.0.1:8443", "[::1]:8443"]);
        let everywhere = addresses("443", Exposure::Everybody);
        assert_eq!(everywhere, ["0.0.0.0:443", "[::]:443"]);
    }

    #[test]
    fn an_address_is_what_is_written() {
        for exposure in [Exposure::ThisMachine, Exposure::Everybody] {
            assert_eq!(addresses("0.0.0.0:8443", exposure), ["0.0.0.0:8443"]);
            assert_eq!(addresses("[::1]:0", exposure), ["[::1]:0"]);
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_a_hint() {
        for text in [
            "0",
            "+8443",
            "99999",
            ":8443",
            "localhost:8443",
            "localhost",
            "unix:/run/gatepost.sock",
        ] {
            assert!((TLS_PLACE.parse)(text).is_err(), "{text:?}");
        }
        let hint = (TLS_PLACE.parse)(":8443").unwrap_err().unwrap();
        assert!(hint.starts_with("write \"8443\""), "{hint}");
    }
}
