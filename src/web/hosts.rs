//! The names and addresses of this origin.
//!
//! Asked for every request and every `Origin`. Addresses can change while the gateway runs (a
//! laptop moves between networks), and so can the names that Django allows; those of the configuration cannot.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::allowed_names::AllowedNames;

/// What counts as a host of this origin.
#[derive(Debug)]
pub struct Hosts {
    names: Vec<String>,
    /// What the names with a star in front end in, the dot included.
    domains: Vec<String>,
    moved: Vec<String>,
    literals: Vec<IpAddr>,
    addresses: ArcSwap<Vec<IpAddr>>,
    allowed: Arc<AllowedNames>,
}

impl Hosts {
    /// `names` are lower-case, the canonical one first, `*.` in front of one standing for any label or more;
    /// `addresses` are those of this machine that count as hosts too.
    pub fn new(names: Vec<String>, addresses: Vec<IpAddr>) -> Self {
        let domains = names.iter().filter_map(|name| name.strip_prefix('*'));
        let domains = domains.map(str::to_owned).collect();
        let literals = names.iter().filter_map(|name| address(name)).collect();
        Self {
            names,
            domains,
            moved: Vec::new(),
            literals,
            addresses: ArcSwap::new(Arc::new(addresses)),
            allowed: Arc::default(),
        }
    }

    /// Requests for these names are sent on to the canonical one.
    #[must_use]
    pub fn redirecting(mut self, moved: Vec<String>) -> Self {
        self.moved = moved;
        self
    }

    /// Counts these names among them too.
    #[must_use]
    pub fn with_allowed(mut self, allowed: Arc<AllowedNames>) -> Self {
        self.allowed = allowed;
        self
    }

    /// The name that people should use.
    pub fn canonical(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    /// What a host without port is to us. An IPv6 address may have brackets.
    pub fn standing(&self, host_without_port: &str) -> HostStanding {
        let name = without_root(host_without_port);
        if self
            .moved
            .iter()
            .any(|moved| moved.eq_ignore_ascii_case(name))
        {
            HostStanding::Moved
        } else if self.contains(host_without_port) {
            HostStanding::Own
        } else {
            HostStanding::Foreign
        }
    }

    /// Whether a host without port is one of ours. An IPv6 address may have brackets.
    pub fn contains(&self, host_without_port: &str) -> bool {
        let name = without_root(host_without_port);
        if self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self.domains.iter().any(|domain| is_below(name, domain))
            || self.allowed.contains(name)
        {
            return true;
        }
        address(host_without_port).is_some_and(|address| {
            self.literals.contains(&address) || self.addresses.load().contains(&address)
        })
    }

    /// Replaces the machine's addresses.
    pub fn set_addresses(&self, addresses: Vec<IpAddr>) {
        self.addresses.store(Arc::new(addresses));
    }
}

/// What a host is to this origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStanding {
    /// One of its own.
    Own,
    /// One that it has no more.
    Moved,
    /// None of its.
    Foreign,
}

/// Whether a name has a label or more in front of a domain, which begins with a dot.
fn is_below(name: &str, domain: &str) -> bool {
    let Some(end) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let (Some(front), Some(rest)) = (name.get(..end), name.get(end..)) else {
        return false;
    };
    rest.eq_ignore_ascii_case(domain) && front.split('.').all(|label| !label.is_empty())
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

/// A name with the dot of the DNS root means the same.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether two authorities name one place, however they spell it: by case, the dot of the DNS root,
/// the forms of an IPv6 address, or a port that goes without saying. What is no authority is the same
/// as nothing.
pub fn is_same_authority(one: &str, other: &str, usual_port: u16) -> bool {
    let (Some(one), Some(other)) = (split_authority(one), split_authority(other)) else {
        return false;
    };
    let is_same_host = match (address(one.0), address(other.0)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => without_root(one.0).eq_ignore_ascii_case(without_root(other.0)),
        _ => false,
    };
    is_same_host && one.1.unwrap_or(usual_port) == other.1.unwrap_or(usual_port)
}

/// An authority in the one spelling that all of the same place share.
pub fn canonical_authority(authority: &str, usual_port: u16) -> String {
    let Some((host, port)) = split_authority(authority) else {
        return authority.to_owned();
    };
    let host = match address(host) {
        Some(address) => address.to_string(),
        None => without_root(host).to_ascii_lowercase(),
    };
    match port.filter(|port| *port != usual_port) {
        Some(port) => format!("{host} {port}"),
        None => host,
    }
}

/// An authority in two: the host (brackets kept) and, if written, the port.
///
/// `None` where the grammar does not allow it: user information, an empty host or port, anything
/// that is not a letter, digit, `-`, `.` or `_`, or a bracketed text that is no IPv6 address.
pub fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<std::net::Ipv6Addr>().ok()?;
            let (host, port) = authority.split_at(end + 2);
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = port?;
    let named = host.starts_with('[') || is_name(host);
    let ported = authority.len() > host.len();
    match (named, ported) {
        (false, _) => None,
        (true, false) => Some((host, None)),
        (true, true) => Some((host, Some(parse_port(port)?))),
    }
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

fn parse_port(port: &str) -> Option<u16> {
    if port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    port.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(
            vec!["myapp.test".into(), "localhost".into(), "10.0.0.7".into()],
            vec!["192.168.1.5".parse().unwrap(), "::1".parse().unwrap()],
        )
    }

    #[test]
    fn names_and_addresses_are_compared_whole() {
        let hosts = hosts();
        for ours in [
            "localhost",
            "LOCALHOST",
            "myapp.test",
            "10.0.0.7",
            "192.168.1.5",
            "[::1]",
            "::1",
            "localhost.",
            "MyApp.test.",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert!(hosts.contains(ours), "{ours}");
        }
        for foreign in [
            "localhost..",
            ".",
            "evil.test",
            "x.localhost",
            "localhost.evil.test",
            "192.168.1.6",
            "",
            "010.0.0.7",
        ] {
            assert!(!hosts.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label_or_more() {
        let hosts = Hosts::new(
            vec!["www.example.com".into(), "*.example.com".into()],
            Vec::new(),
        );
        for ours in [
            "a.example.com",
            "A.Example.COM.",
            "a.b.example.com",
            "www.example.com",
        ] {
            assert!(hosts.contains(ours), "{ours}");
        }
        for foreign in [
            "example.com",
            ".example.com",
            "..example.com",
            "a..example.com",
            "aexample.com",
            "a.example.com.evil.test",
            "a.example.co",
            "*.example.com.",
            "é.example.org",
            "1.2.3.4",
            "",
        ] {
            let is_star = foreign.starts_with('*');
            assert!(!hosts.contains(foreign) || is_star, "{foreign}");
        }
    }

    #[test]
    fn a_name_that_moved_is_none_of_ours_even_below_a_star() {
        let hosts = Hosts::new(
            vec!["www.example.com".into(), "*.example.com".into()],
            Vec::new(),
        );
        let hosts = hosts.redirecting(vec!["old.example.com".into(), "example.com".into()]);
        assert_eq!(hosts.canonical(), Some("www.example.com"));
        for (name, standing) in [
            ("Old.Example.com.", HostStanding::Moved),
            ("example.com", HostStanding::Moved),
            ("new.example.com", HostStanding::Own),
            ("evil.test", HostStanding::Foreign),
        ] {
            assert_eq!(hosts.standing(name), standing, "{name}");
        }
    }

    #[test]
    fn addresses_can_change() {
        let hosts = hosts();
        hosts.set_addresses(vec!["172.16.0.9".parse().unwrap()]);
        assert!(hosts.contains("172.16.0.9"));
        assert!(!hosts.contains("192.168.1.5"));
        assert!(hosts.contains("10.0.0.7"));
    }

    #[test]
    fn spellings_of_one_place_are_the_same_and_others_are_not() {
        for (one, other) in [
            ("localhost", "LOCALHOST:443"),
            ("localhost.", "localhost"),
            ("localhost.:8443", "localhost:8443"),
            ("[::1]", "[0:0:0:0:0:0:0:1]:443"),
            ("[2001:DB8::1]:8443", "[2001:db8:0::1]:8443"),
        ] {
            assert!(is_same_authority(one, other, 443), "{one} {other}");
            assert!(is_same_authority(other, one, 443), "{other} {one}");
        }
        for (one, other) in [
            ("localhost", "localhost:80"),
            ("localhost:8443", "localhost"),
            ("localhost..", "localhost"),
            ("localhost", "127.0.0.1"),
            ("[::1]", "[::2]"),
            ("user@localhost", "localhost"),
            ("user@localhost", "user@localhost"),
            ("", ""),
        ] {
            assert!(!is_same_authority(one, other, 443), "{one} {other}");
        }
    }

    #[test]
    fn an_authority_has_a_strict_grammar() {
        for (text, parts) in [
            ("localhost", ("localhost", None)),
            ("localhost:8443", ("localhost", Some(8443))),
            ("[::1]:8443", ("[::1]", Some(8443))),
            ("[::1]", ("[::1]", None)),
            ("127.0.0.1:1", ("127.0.0.1", Some(1))),
        ] {
            assert_eq!(split_authority(text), Some(parts), "{text}");
        }
        for text in [
            "",
            ":",
            ":80",
            "localhost:",
            "localhost:x",
            "localhost:0",
            "localhost:99999",
            "localhost:+80",
            "localhost:80:80",
            "u@localhost",
            "localhost/x",
            "local host",
            "a,b",
            "localhost, localhost",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[zz]",
            "[localhost]",
            "é.test",
            "localhost:000080",
        ] {
            assert_eq!(split_authority(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn splitting_never_panics(text in "\\PC{0,30}") {
            let _ = split_authority(&text);
        }

        #[test]
        fn a_split_authority_is_made_of_its_parts(text in "[a-z0-9.:\\[\\]-]{0,12}") {
            if let Some((host, port)) = split_authority(&text) {
                prop_assert!(text.starts_with(host));
                prop_assert_eq!(port.is_some(), text.len() > host.len());
            }
        }
    }
}
