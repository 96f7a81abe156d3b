//! `[server]`: addresses and names of the origin.
//!
//! Read by `load`. The surprise: `mode` is a key of this section but a field of `Config`, because
//! without it the certificate decides; and where a port alone listens depends on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Mode;
use super::document::Document;
use super::kind::{ADDRESS, HOST, ValueKind};
use super::listen::{Exposure, ListenAt, PLACE, PLACE_OR_NOWHERE};
use super::section::Section;
use super::upstream::{UpstreamAddress, check_unix_path, unix_path};

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
    /// Whether a developer's gateway is for the network too: ports are open to it, and this machine's
    /// own addresses count as hosts.
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

const HTTPS: ListenAt = ListenAt::Port(8443);
const HTTP: ListenAt = ListenAt::Port(8080);
const INTERNAL_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9400);

const MODE: ValueKind<Mode> = ValueKind {
    expected: "\"dev\" or \"production\"",
    parse: |text| match text {
        "dev" => Ok(Mode::Dev),
        "production" => Ok(Mode::Production),
        _ => Err(None),
    },
};

const INTERNAL: ValueKind<InternalAddress> = ValueKind {
    expected: "an IP address and a port such as \"127.0.0.1:9400\", or \"unix:/run/gatepost.sock\"",
    parse: |text| match text.strip_prefix("unix:") {
        Some(path) => unix_path(path).map(InternalAddress::Unix),
        None => match text.strip_prefix("http://") {
            // It is written as GATEPOST["URL"] on Django's side.
            Some(bare) => Err(Some(format!("write \"{}\"", bare.trim_end_matches('/')))),
            None => (ADDRESS.parse)(text).map(InternalAddress::Tcp),
        },
    },
};

impl ServerConfig {
    /// Reads the section, and the mode, which is `usual` unless it is set.
    pub(super) fn read(document: &mut Document<'_>, usual: Mode) -> (Self, Mode) {
        let mut section = document.section("server");
        let mode = section.optional("mode", &MODE).unwrap_or(usual);
        let lan = section.flag("lan").unwrap_or(false);
        let exposure = match mode {
            Mode::Dev if !lan => Exposure::ThisMachine,
            Mode::Dev | Mode::Production => Exposure::Everybody,
        };
        let listen = |places: Option<Vec<ListenAt>>, usual| {
            let places = places.unwrap_or_else(|| vec![usual]).into_iter();
            places.flat_map(|place| place.addresses(exposure)).collect()
        };
        let mut server = Self {
            https: listen(section.list("https", &PLACE), HTTPS),
            http: listen(section.list("http", &PLACE_OR_NOWHERE), HTTP),
            hosts: section
                .list("hosts", &HOST)
                .unwrap_or_else(|| vec!["localhost".to_owned()]),
            lan,
            internal: section
                .value("internal", &INTERNAL)
                .unwrap_or(InternalAddress::Tcp(INTERNAL_DEFAULT)),
        };
        if let InternalAddress::Unix(path) = &mut server.internal {
            *path = section.findings.folder.join(&path);
            check_unix_path(&mut section, "internal", path);
        }
        server.check(&mut section);
        (server, mode)
    }

    /// Whether HTTPS is served to this machine alone.
    pub fn is_on_loopback(&self) -> bool {
        self.https.iter().all(|address| address.ip().is_loopback())
    }

    /// Refuses upstreams that are the gateway itself: what is meant for them would go round in circles.
    pub(super) fn refuse_itself(&self, section: &mut Section<'_, '_>, all: &[UpstreamAddress]) {
        for upstream in all {
            if let Some(key) = self.key_of(upstream) {
                let message =
                    format!("{upstream} is where this gateway itself listens (server.{key})");
                let hint =
                    format!("give `{key}` of [server] another port, or let that server have one");
                section.refuse("upstream", &message, Some(&hint));
            }
        }
    }

    /// The key that has the gateway listen at an upstream's address.
    fn key_of(&self, upstream: &UpstreamAddress) -> Option<&'static str> {
        let UpstreamAddress::Tcp { host, port } = upstream else {
            return None;
        };
        let named = host.parse::<IpAddr>().ok();
        let is_it = |own: &SocketAddr| {
            let answers_loopback =
                own.ip().is_unspecified() || own.ip().is_loopback() && named.is_none();
            let is_here = named == Some(own.ip()) || upstream.is_on_loopback() && answers_loopback;
            own.port() == *port && is_here
        };
        let is_internal = matches!(&self.internal, InternalAddress::Tcp(own) if is_it(own));
        let keys = [
            ("https", self.https.iter().any(is_it)),
            ("http", self.http.iter().any(is_it)),
            ("internal", is_internal),
        ];
        keys.into_iter()
            .find_map(|(key, listens)| listens.then_some(key))
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
