//! Networks that are named while the gateway runs: by an operator, not by `gateway.toml`.
//!
//! Written as in `server.trusted_proxies`, without `unix` and files.

use std::net::IpAddr;

use super::network::{AddressRange, AddressSet};

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(AddressSet);

impl Networks {
    /// The networks that these texts name, or what is wrong with one of them.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut ranges = Vec::with_capacity(texts.len());
        for text in texts {
            match text.as_str() {
                "private" => ranges.extend(AddressRange::private()),
                _ => ranges.push(AddressRange::parse(text).map_err(|hint| {
                    let expected =
                        "expected a network such as \"10.0.0.0/8\", an IP address, or \"private\"";
                    format!("{text:?}: {}", hint.as_deref().unwrap_or(expected))
                })?),
            }
        }
        Ok(Self(AddressSet::new(ranges)))
    }

    /// Whether an address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.contains(address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Result<Networks, String> {
        let texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
        Networks::parse(&texts)
    }

    #[test]
    fn an_address_is_in_one_of_them_or_in_none() {
        let networks = networks(&["192.0.2.0/24", "private", "2001:db8::1"]).unwrap();
        for (address, inside) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("10.1.2.3", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(
                networks.contain(address.parse().unwrap()),
                inside,
                "{address}"
            );
        }
        assert!(!Networks::default().contain("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_named_with_what_to_write() {
        let error = networks(&["10.0.0.0/8", "10.0.0.1/8"]).unwrap_err();
        assert!(
            error.contains("10.0.0.1/8") && error.contains("10.0.0.0/8"),
            "{error}"
        );
        for wrong in ["", "example.com", "10.0.0.0/33", "unix"] {
            let error = networks(&[wrong]).unwrap_err();
            assert!(error.contains("expected a network"), "{error}");
        }
    }
}
