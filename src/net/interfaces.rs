//! This machine's own addresses.
//!
//! Asked by the composition root for the certificate and for the hosts of a developer's gateway.
//! Link-local IPv6 addresses are left out, as no browser takes them in a URL.

use std::net::IpAddr;

/// This machine's addresses, loopback included, sorted. Empty where the system does not tell.
pub fn addresses() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<_> = found
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|address| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_addresses() {
        let found = addresses();
        assert!(found.contains(&"127.0.0.1".parse().unwrap()), "{found:?}");
        assert!(found.is_sorted());
    }
}
