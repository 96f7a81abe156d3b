//! `server.trusted_proxies`: whose word about a request counts.
//!
//! Read by `proxies`, asked by `web` for each request and by `server` for each connection. The list may
//! stand in a file of its own, as those of content delivery networks are published.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::kind::{Hint, ValueKind};
use super::network::{AddressRange, AddressSet};
use super::section::Section;

/// A list of networks is no longer than this.
const LONGEST_FILE: usize = 1 << 20;

/// Proxies whose word is believed. By default none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    addresses: AddressSet,
    unix: bool,
}

/// One entry of `trusted_proxies`.
enum Trusted {
    Addresses(Vec<AddressRange>),
    Unix,
    File(PathBuf),
}

const TRUSTED: ValueKind<Trusted> = ValueKind {
    expected: "a network such as \"10.0.0.0/8\", an IP address, \"private\", \"unix\", or \"file:\" and the \
               path of a file with one of these a line",
    parse: |text| match text {
        "private" => Ok(Trusted::Addresses(AddressRange::private())),
        "unix" => Ok(Trusted::Unix),
        _ => match text.strip_prefix("file:") {
            Some("") => Err(None),
            Some(path) => Ok(Trusted::File(path.into())),
            None => AddressRange::parse(text)
                .map(|range| Trusted::Addresses(vec![range]))
                .map_err(|hint| hint.or_else(|| trusted_hint(text))),
        },
    },
};

fn trusted_hint(text: &str) -> Hint {
    match text {
        "*" | "all" | "any" => Some(
            "name the addresses that your proxies connect from; a trusted peer can claim to be \
             anybody"
                .to_owned(),
        ),
        "localhost" | "loopback" => Some("write \"127.0.0.0/8\" and \"::1\"".to_owned()),
        _ if text.starts_with("unix:") => Some(
            "write \"unix\": every process that may open the socket at server.http is trusted then"
                .to_owned(),
        ),
        _ if text.contains(".txt") || text.starts_with(['/', '.']) => {
            Some(format!("write \"file:{text}\""))
        }
        _ => None,
    }
}

impl TrustedProxies {
    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && !self.unix
    }

    /// Whether a peer is believed; `None`: over a Unix socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(address) => self.trusts_address(address),
            None => self.unix,
        }
    }

    /// Whether the proxy at this address is believed.
    pub fn trusts_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(address.to_canonical())
    }

    /// Whether the whole Internet is.
    pub fn trusts_everybody(&self) -> bool {
        self.addresses.has_everybody()
    }

    /// Reads the key.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let entries = section.placed_list("trusted_proxies", &TRUSTED);
        let mut ranges = Vec::new();
        let mut unix = false;
        for entry in entries.unwrap_or_default() {
            match entry.value {
                Trusted::Addresses(addresses) => ranges.extend(addresses),
                Trusted::Unix => unix = true,
                Trusted::File(path) => {
                    let path = section.findings.folder.join(path);
                    match listed(&path) {
                        Ok(listed) => ranges.extend(listed),
                        Err(message) => section.findings.refuse(
                            entry.place,
                            format!("server.trusted_proxies: {message}"),
                            Some("one network a line; what follows a `#` is a comment"),
                        ),
                    }
                }
            }
        }
        Self {
            addresses: AddressSet::new(ranges),
            unix,
        }
    }
}

/// The networks in a file, or what is wrong with it.
fn listed(path: &Path) -> Result<Vec<AddressRange>, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {shown}"),
        _ => format!("{shown} cannot be read: {error}"),
    })?;
    if text.len() > LONGEST_FILE {
        return Err(format!("{shown} is longer than 1 MiB"));
    }
    let mut ranges = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let network = line.split('#').next().unwrap_or_default().trim();
        if network.is_empty() {
            continue;
        }
        if network == "private" {
            ranges.extend(AddressRange::private());
            continue;
        }
        match AddressRange::parse(network) {
            Ok(range) => ranges.push(range),
            Err(hint) => {
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                return Err(format!(
                    "line {} of {shown} is no network{hint}",
                    number + 1
                ));
            }
        }
    }
    if ranges.is_empty() {
        return Err(format!("{shown} names no network"));
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_said() {
        for (text, expected) in [
            ("10.0.0.1/8", "\"10.0.0.0/8\""),
            ("*", "can claim to be anybody"),
            ("localhost", "127.0.0.0/8"),
            ("unix:/run/a.sock", "write \"unix\""),
            ("cdn.txt", "file:cdn.txt"),
        ] {
            let hint = (TRUSTED.parse)(text).err().flatten().unwrap_or_default();
            assert!(hint.contains(expected), "{text}: {hint}");
        }
    }

    #[test]
    fn a_file_has_a_network_a_line_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cdn.txt");
        let of = |text: &str| {
            fs::write(&path, text).unwrap();
            listed(&path)
        };
        let good = of("# Cloudflare\n173.245.48.0/20\n\n2400:cb00::/32  # and IPv6\r\n").unwrap();
        assert_eq!(good.len(), 2);
        assert!(of("10.0.0.0/8\nnonsense\n").unwrap_err().contains("line 2"));
        assert!(of("10.0.0.9/8\n").unwrap_err().contains("10.0.0.0/8"));
        assert!(of("# none\n").unwrap_err().contains("names no network"));
        assert!(
            listed(folder.path())
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
