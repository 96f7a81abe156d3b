//! What counts as one client's address where addresses are counted.
//!
//! Used wherever something is limited by address. Of an IPv6 address only the /64 counts, for a
//! client with one address has 2^64 of them.

use std::net::{IpAddr, Ipv6Addr};

/// One client's address: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressBlock(IpAddr);

/// The /48 of an IPv6 address: what one customer of a provider may have, with 65,536 blocks in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteBlock([u16; 3]);

impl AddressBlock {
    /// The block that an address is in.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(six) => {
                let [a, b, c, d, ..] = six.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            four @ IpAddr::V4(_) => Self(four),
        }
    }

    /// The site it is in, which IPv4 does not have.
    pub fn site(&self) -> Option<SiteBlock> {
        match self.0 {
            IpAddr::V6(six) => {
                let [a, b, c, ..] = six.segments();
                Some(SiteBlock([a, b, c]))
            }
            IpAddr::V4(_) => None,
        }
    }
}

impl std::fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(four) => four.fmt(f),
            IpAddr::V6(six) => write!(f, "{six}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> String {
        AddressBlock::of(text.parse().unwrap()).to_string()
    }

    #[test]
    fn every_address_of_one_ipv6_client_is_the_same() {
        assert_eq!(block("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(block("2001:db8:1:2:ffff::1"), block("2001:db8:1:2::"));
        assert_ne!(block("2001:db8:1:3::1"), block("2001:db8:1:2::1"));
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_is_written() {
        assert_eq!(block("::ffff:192.0.2.7"), "192.0.2.7");
        assert_ne!(block("192.0.2.7"), block("192.0.2.8"));
    }

    #[test]
    fn the_blocks_of_a_site_are_neighbours() {
        let site = |text: &str| AddressBlock::of(text.parse().unwrap()).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        assert_eq!(site("192.0.2.7"), None);
        assert_eq!(site("::ffff:192.0.2.7"), None);
    }
}
