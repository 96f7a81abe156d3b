//! One entry of `X-Forwarded-For`, or one node of `Forwarded`: where a request came from, a hop earlier.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// From this address, in its canonical form.
    Address(IpAddr),
    /// Over a Unix socket, as nginx calls it.
    Unix,
}

impl Hop {
    /// An address with or without port and brackets.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
        if text.starts_with("unix:") {
            return Some(Self::Unix);
        }
        let address = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let ported = port.strip_prefix(':').map_or(port.is_empty(), is_port);
                IpAddr::V6(Ipv6Addr::from_str(address).ok().filter(|_| ported)?)
            }
            None => match text.split_once(':') {
                Some((address, port)) if is_port(port) => {
                    IpAddr::V4(Ipv4Addr::from_str(address).ok()?)
                }
                _ => IpAddr::from_str(text).ok()?,
            },
        };
        Some(Self::Address(address.to_canonical()))
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_port_and_brackets() {
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7:4711\t", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ] {
            let address = Hop::Address(address.parse().unwrap());
            assert_eq!(Hop::parse(text.as_bytes()), Some(address), "{text}");
        }
        assert_eq!(Hop::parse(b"unix:"), Some(Hop::Unix));
    }

    #[test]
    fn anything_else_is_nonsense() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "a.test",
            "192.0.2",
            "192.0.2.07",
            "192.0.2.7:",
            "192.0.2.7:x",
            "192.0.2.7:123456",
            "[192.0.2.7]",
            "[2001:db8::7",
            "[2001:db8::7]x",
            "[2001:db8::7]:",
            "2001:db8::7]",
            "fe80::1%eth0",
            "192.0.2.7 192.0.2.8",
            "\"192.0.2.7\"",
            "192.0.2.7\0",
            "0x7f.1",
            "2130706433",
        ] {
            assert_eq!(Hop::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Hop::parse(b"\xff"), None);
    }
}
