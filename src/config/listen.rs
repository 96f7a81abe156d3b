//! Where the origin listens: addresses as they are written, or a port alone, whose addresses follow
//! from whom the gateway is for.
//!
//! Used by `[server]`. The surprise: an address that is written is what it is, also in dev; only a
//! port alone, which is the default, stays on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::kind::{ADDRESS, Hint, ValueKind};

/// What one string says.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListenAt {
    /// This address.
    Address(SocketAddr),
    /// This port, at the usual addresses.
    Port(u16),
    /// Nowhere.
    Nowhere,
}

/// Who may reach a port that is written alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Programs on this machine.
    ThisMachine,
    /// Whoever reaches this machine.
    Everybody,
}

pub(super) const PLACE: ValueKind<ListenAt> = ValueKind {
    expected: "a port such as \"8443\", or an IP address and a port such as \"127.0.0.1:8443\"",
    parse,
};

pub(super) const PLACE_OR_NOWHERE: ValueKind<ListenAt> = ValueKind {
    expected: "a port such as \"8080\", an IP address and a port such as \"127.0.0.1:8080\", or \"\" for none",
    parse: |text| match text {
        "" => Ok(ListenAt::Nowhere),
        text => parse(text),
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
    /// The addresses that are meant, IPv4 first: programs that know one address only take the first.
    pub(super) fn addresses(self, exposure: Exposure) -> Vec<SocketAddr> {
        let both = |port, v4: Ipv4Addr, v6: Ipv6Addr| {
            let addresses = [IpAddr::V4(v4), IpAddr::V6(v6)];
            addresses.map(|address| (address, port).into()).into()
        };
        match (self, exposure) {
            (Self::Address(address), _) => vec![address],
            (Self::Port(port), Exposure::ThisMachine) => {
                both(port, Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
            }
            (Self::Port(port), Exposure::Everybody) => {
                both(port, Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
            }
            (Self::Nowhere, _) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str, exposure: Exposure) -> Vec<String> {
        let place = (PLACE.parse)(text).unwrap();
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
            "",
        ] {
            assert!((PLACE.parse)(text).is_err(), "{text:?}");
        }
        let hint = (PLACE.parse)(":8443").unwrap_err().unwrap();
        assert!(hint.starts_with("write \"8443\""), "{hint}");
    }
}
