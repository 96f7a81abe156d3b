//! `[server]`: addresses and names of the origin.
//!
//! Read by `load`. The surprise: `mode` is a key of this section but a field of `Config`, because
//! without it the certificate decides.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Mode;
use super::document::Document;
use super::kind::{ADDRESS, HOST, Kind};
use super::section::Section;
use super::upstream::{check_unix_path, unix_path};

/// `[server]`: addresses and names of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where HTTPS is served. Never empty.
    pub https: Vec<SocketAddr>,
    /// Where requests are redirected to HTTPS; may be empty.
    pub http: Vec<SocketAddr>,
    /// Lower-case names of this origin, the canonical one first. Never empty; an IPv6 address is in
    /// brackets, as in `Host`.
    pub hosts: Vec<String>,
    /// Whether this machine's own addresses count as hosts (in dev).
    pub lan: bool,
    /// Where the internal listener is.
    pub internal: InternalAddress,
}

/// Where the internal listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternalAddress {
    /// A TCP address, on loopback unless the user says else.
    Tcp(SocketAddr),
    /// A Unix socket, made with mode 0600.
    Unix(PathBuf),
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            https: vec![(Ipv4Addr::UNSPECIFIED, 8443).into()],
            http: vec![(Ipv4Addr::UNSPECIFIED, 8080).into()],
            hosts: vec!["localhost".to_owned()],
            lan: true,
            internal: InternalAddress::Tcp((Ipv4Addr::LOCALHOST, 9400).into()),
        }
    }
}

const MODE: Kind<Mode> = Kind {
    expected: "\"dev\" or \"production\"",
    parse: |text| match text {
        "dev" => Ok(Mode::Dev),
        "production" => Ok(Mode::Production),
        _ => Err(None),
    },
};

const INTERNAL: Kind<InternalAddress> = Kind {
    expected: "an IP address and a port such as \"127.0.0.1:9400\", or \"unix:/run/gatepost.sock\"",
    parse: |text| match text.strip_prefix("unix:") {
        Some(path) => unix_path(path).map(InternalAddress::Unix),
        None => (ADDRESS.parse)(text).map(InternalAddress::Tcp),
    },
};

impl ServerConfig {
    /// Reads the section, and the mode where it is set.
    pub(super) fn read(document: &mut Document<'_>) -> (Self, Option<Mode>) {
        let default = Self::default();
        let mut section = document.section("server");
        let mut server = Self {
            https: section.list("https", &ADDRESS).unwrap_or(default.https),
            http: read_http(&mut section).unwrap_or(default.http),
            hosts: section.list("hosts", &HOST).unwrap_or(default.hosts),
            lan: section.flag("lan").unwrap_or(default.lan),
            internal: section
                .value("internal", &INTERNAL)
                .unwrap_or(default.internal),
        };
        let mode = section.optional("mode", &MODE);
        if let InternalAddress::Unix(path) = &mut server.internal {
            *path = section.document.folder.join(&path);
            check_unix_path(&mut section, "internal", path);
        }
        server.check(&mut section);
        (server, mode)
    }

    /// Whether HTTPS is served to this machine alone.
    pub fn is_on_loopback(&self) -> bool {
        self.https.iter().all(|address| address.ip().is_loopback())
    }

    fn check(&self, section: &mut Section<'_, '_>) {
        if self.https.is_empty() {
            section.refuse("https", "is empty, but something must be served", None);
        }
        if self.hosts.is_empty() {
            let hint = "name the host that people type, such as [\"localhost\"]";
            section.refuse(
                "hosts",
                "is empty, but every request names a host",
                Some(hint),
            );
        }
        let internal = match &self.internal {
            InternalAddress::Tcp(address) => Some(address),
            InternalAddress::Unix(_) => None,
        };
        let keys = self.https.iter().map(|address| ("https", address));
        let keys = keys.chain(self.http.iter().map(|address| ("http", address)));
        let all: Vec<_> = keys
            .chain(internal.map(|address| ("internal", address)))
            .collect();
        for (number, (key, address)) in all.iter().enumerate() {
            let taken = all[..number].iter().find(|(_, other)| other == address);
            if let Some((other, _)) = taken.filter(|_| address.port() != 0) {
                section.refuse(
                    key,
                    &format!("{address} is taken by server.{other} already"),
                    None,
                );
            }
        }
    }
}

/// `http`, where an empty string turns it off.
fn read_http(section: &mut Section<'_, '_>) -> Option<Vec<SocketAddr>> {
    const ADDRESS_OR_OFF: Kind<Option<SocketAddr>> = Kind {
        expected: "an IP address and a port such as \"0.0.0.0:8080\", or \"\" for none",
        parse: |text| {
            if text.is_empty() {
                Ok(None)
            } else {
                (ADDRESS.parse)(text).map(Some)
            }
        },
    };
    let addresses = section.list("http", &ADDRESS_OR_OFF)?;
    Some(addresses.into_iter().flatten().collect())
}
