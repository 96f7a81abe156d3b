//! Sets of addresses, as they are written: `10.0.0.0/8`, one address, or a group by its name.
//!
//! Used by [`TrustedProxies`](super::TrustedProxies), which is asked once a request. The surprise: IPv4
//! addresses that are mapped into IPv6 are IPv4 addresses here, so `::/0` does not hold them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kind::Hint;

/// RFC 1918, RFC 4193, loopback and link-local: networks that nobody else's packets come from.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "::1",
    "fe80::/10",
];

/// The addresses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Ranges that neither touch nor overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AddressSet(Vec<AddressRange>);

impl AddressRange {
    /// A network, or one address.
    pub(super) fn parse(text: &str) -> Result<Self, Hint> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| None)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(bits) => prefix(bits).filter(|bits| *bits <= longest).ok_or(None)?,
        };
        let network = first_of(address, bits);
        if network != address {
            return Err(Some(format!(
                "write \"{network}/{bits}\" for the network, or \"{address}\" for the address alone"
            )));
        }
        Ok(Self::of(network, bits))
    }

    fn of(network: IpAddr, bits: u32) -> Self {
        let last = last_of(network, bits);
        match (network.to_canonical(), last.to_canonical()) {
            (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) => Self { first, last },
            _ => Self {
                first: network,
                last,
            },
        }
    }

    /// Networks that are not routed on the Internet.
    pub(super) fn private() -> Vec<Self> {
        let all = PRIVATE.iter().filter_map(|text| Self::parse(text).ok());
        all.collect()
    }

    fn is_everybody(&self) -> bool {
        let all = match self.first {
            IpAddr::V4(_) => Self::of(Ipv4Addr::UNSPECIFIED.into(), 0),
            IpAddr::V6(_) => Self::of(Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        *self == all
    }
}

impl AddressSet {
    /// The addresses of all these ranges.
    pub(super) fn new(mut ranges: Vec<AddressRange>) -> Self {
        ranges.sort_unstable();
        let mut set: Vec<AddressRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match set.last_mut() {
                Some(before) if range.first <= before.last => {
                    before.last = before.last.max(range.last);
                }
                _ => set.push(range),
            }
        }
        Self(set)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is among them; it is canonical.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let after = self.0.partition_point(|range| range.first <= address);
        let before = after.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|range| address <= range.last)
    }

    /// Whether all addresses of IPv4 or of IPv6 are.
    pub(super) fn has_everybody(&self) -> bool {
        self.0.iter().any(AddressRange::is_everybody)
    }
}

/// The length of a prefix, without sign and leading zeros.
fn prefix(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn first_of(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Ipv4Addr::from_bits(four.to_bits() & mask).into()
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Ipv6Addr::from_bits(six.to_bits() & mask).into()
        }
    }
}

fn last_of(network: IpAddr, bits: u32) -> IpAddr {
    match network {
        IpAddr::V4(four) => {
            let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
            Ipv4Addr::from_bits(four.to_bits() | rest).into()
        }
        IpAddr::V6(six) => {
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            Ipv6Addr::from_bits(six.to_bits() | rest).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(texts: &[&str]) -> AddressSet {
        let ranges = texts.iter().map(|text| AddressRange::parse(text).unwrap());
        AddressSet::new(ranges.collect())
    }

    fn holds(set: &AddressSet, address: &str) -> bool {
        set.contains(address.parse::<IpAddr>().unwrap().to_canonical())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        let networks = set(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.1.0.0/16"]);
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:10.2.3.4",
        ] {
            assert!(holds(&networks, address), "{address}");
        }
        for address in [
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.8",
            "2001:db9::",
            "::10.0.0.1",
        ] {
            assert!(!holds(&networks, address), "{address}");
        }
        assert!(!networks.has_everybody() && set(&[]).is_empty());
    }

    #[test]
    fn a_network_of_mapped_addresses_is_one_of_ipv4_and_all_of_ipv6_holds_none() {
        assert!(holds(&set(&["::ffff:10.0.0.0/104"]), "10.9.9.9"));
        let six = set(&["::/0"]);
        assert!(six.has_everybody() && holds(&six, "::1") && !holds(&six, "10.0.0.1"));
        let four = set(&["0.0.0.0/0", "10.0.0.0/8"]);
        assert!(four.has_everybody() && holds(&four, "203.0.113.1") && !holds(&four, "::1"));
    }

    #[test]
    fn host_bits_are_refused_with_both_that_may_be_meant() {
        let hint = AddressRange::parse("10.0.0.1/8").unwrap_err().unwrap();
        assert!(hint.contains("\"10.0.0.0/8\"") && hint.contains("\"10.0.0.1\""));
        for text in [
            "",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "a.test",
            "10.0.0.0/8/8",
            "10.0.0.0-10.0.0.9",
        ] {
            assert!(AddressRange::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn private_networks_are_those_of_one_s_own() {
        let private = AddressSet::new(AddressRange::private());
        for address in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.9.9",
            "127.0.0.1",
            "::1",
            "fd00::1",
        ] {
            assert!(holds(&private, address), "{address}");
        }
        for address in ["172.32.0.1", "100.64.0.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!holds(&private, address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_ranges_does(
            ranges in prop::collection::vec((any::<u32>(), 0..=32u32), 0..20),
            address in any::<u32>(),
        ) {
            let networks: Vec<_> = ranges
                .iter()
                .map(|(bits, prefix)| {
                    let network = first_of(Ipv4Addr::from_bits(*bits).into(), *prefix);
                    AddressRange::of(network, *prefix)
                })
                .collect();
            let address = IpAddr::V4(Ipv4Addr::from_bits(address));
            let expected = networks
                .iter()
                .any(|range| (range.first..=range.last).contains(&address));
            prop_assert_eq!(AddressSet::new(networks).contains(address), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f:./+-]{0,50}") {
            let _ = AddressRange::parse(&text);
        }
    }
}
