//! `[server]`: addresses and names of the origin.
//!
//! Read by `load`. `mode` is a key of this section but a field of `Config`, because without it the
//! certificate decides; and where a port alone listens depends on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;

use super::Mode;
use super::document::Document;
use super::health::HEALTH;
use super::host::{HOST, HOST_OR_WILDCARD};
use super::hsts::{self, HSTS};
use super::kind::{ADDRESS, DURATION_OR_ZERO, ValueKind};
use super::listen::{Exposure, ListenAddress, ListenAt, PLAIN_PLACE, TLS_PLACE};
use super::proxies::ProxiesConfig;
use super::section::Section;
use super::upstream::{UpstreamAddress, check_unix_path, unix_path};

/// `[server]`: addresses and names of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of gateway.toml by itself"
)]
pub struct ServerConfig {
    /// Where HTTPS is served; empty, where a proxy in front ends TLS.
    pub https: Vec<SocketAddr>,
    /// Where trusted proxies are served that ended TLS, and all others redirected to HTTPS; may be empty
    /// where `https` is not.
    pub http: Vec<ListenAddress>,
    /// Lower-case names of this origin, the canonical one first. Never empty; an IPv6 address is in
    /// brackets, as in `Host`; `*.` in front stands for one label or more.
    pub hosts: Vec<String>,
    /// `Strict-Transport-Security`, where Django sends none.
    pub hsts: Option<HeaderValue>,
    /// Names that are redirected to the first of `hosts`.
    pub redirect_hosts: Vec<String>,
    /// The path of the public health check.
    pub health: Option<String>,
    /// For how long health says that the gateway ends before it does.
    pub shutdown_delay: Duration,
    /// Whether a developer's gateway is for the network too: ports are open to it, and this machine's
    /// own addresses count as hosts.
    pub lan: bool,
    /// Whether the gateway reads its configuration again by itself when the file changes.
    pub watch: bool,
    /// What proxies in front may say.
    pub proxies: ProxiesConfig,
    /// Whether connections of trusted proxies begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether browsers may open WebSockets as streams of HTTP/2 (RFC 8441).
    pub websocket_over_http2: bool,
    /// Where the internal listener is.
    pub internal: ListenAddress,
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

const INTERNAL: ValueKind<ListenAddress> = ValueKind {
    expected: "an IP address and a port such as \"127.0.0.1:9400\", or \"unix:/run/gatepost.sock\"",
    parse: |text| match text.strip_prefix("unix:") {
        Some(path) => unix_path(path).map(ListenAddress::Unix),
        None => match text.strip_prefix("http://") {
            // It is written as GATEPOST["URL"] on Django's side.
            Some(bare) => Err(Some(format!("write \"{}\"", bare.trim_end_matches('/')))),
            None => (ADDRESS.parse)(text).map(ListenAddress::Tcp),
        },
    },
};

/// Where the origin listens, and what decides that.
struct Listening {
    mode: Mode,
    lan: bool,
    https: Vec<SocketAddr>,
    http: Vec<ListenAddress>,
}

impl Listening {
    fn read(section: &mut Section<'_, '_>, usual: Mode) -> Self {
        let https = section.list("https", &TLS_PLACE).unwrap_or(vec![HTTPS]);
        let http = section.list("http", &PLAIN_PLACE).unwrap_or(vec![HTTP]);
        let ends_tls = https
            .iter()
            .any(|place| !matches!(place, ListenAt::Nowhere));
        let usual = if ends_tls { usual } else { Mode::Production };
        let mode = section.optional("mode", &MODE).unwrap_or(usual);
        let lan = section.flag("lan").unwrap_or(false);
        let exposure = match mode {
            Mode::Dev if !lan => Exposure::ThisMachine,
            Mode::Dev | Mode::Production => Exposure::Everybody,
        };
        let folder = &section.findings.folder;
        let https = https.iter().flat_map(|place| place.addresses(exposure));
        let http = http
            .into_iter()
            .flat_map(|place| place.listeners(exposure, folder));
        Self {
            mode,
            lan,
            https: https.collect(),
            http: http.collect(),
        }
    }
}

impl ServerConfig {
    /// Reads the section, and the mode, which is `usual` unless it is set, or TLS ends in front.
    pub(super) fn read(document: &mut Document<'_>, usual: Mode) -> (Self, Mode) {
        let mut section = document.section("server");
        let folder = section.findings.folder.clone();
        let listening = Listening::read(&mut section, usual);
        let mut server = Self {
            https: listening.https,
            http: listening.http,
            lan: listening.lan,
            hosts: section
                .list("hosts", &HOST_OR_WILDCARD)
                .unwrap_or_else(|| vec!["localhost".to_owned()]),
            redirect_hosts: section.list("redirect_hosts", &HOST).unwrap_or_default(),
            hsts: section.value("hsts", &HSTS).flatten(),
            health: section.value("health", &HEALTH).flatten(),
            shutdown_delay: section
                .value("shutdown_delay", &DURATION_OR_ZERO)
                .unwrap_or_default(),
            watch: section.flag("watch").unwrap_or(listening.mode == Mode::Dev),
            proxies: ProxiesConfig::read(&mut section),
            proxy_protocol: section.flag("proxy_protocol").unwrap_or(false),
            websocket_over_http2: section.flag("websocket_over_http2").unwrap_or(false),
            internal: section
                .value("internal", &INTERNAL)
                .unwrap_or(ListenAddress::Tcp(INTERNAL_DEFAULT)),
        };
        if let ListenAddress::Unix(path) = &mut server.internal {
            *path = folder.join(&path);
        }
        if server.proxy_protocol {
            let proxies = &server.proxies;
            proxies.require_trust(&mut section, "proxy_protocol", "is true");
        }
        server.check(&mut section);
        (server, listening.mode)
    }

    /// Whether the origin is served to this machine alone.
    pub fn is_on_loopback(&self) -> bool {
        let is_local = |at: &ListenAddress| match at {
            ListenAddress::Tcp(address) => address.ip().is_loopback(),
            ListenAddress::Unix(_) => true,
        };
        let https = self.https.iter().all(|address| address.ip().is_loopback());
        https && (self.proxies.trusted.is_empty() || self.http.iter().all(is_local))
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
        let https = self.https.iter().any(|own| is_at(upstream, *own));
        let is_it = |own: &ListenAddress| match (own, upstream) {
            (ListenAddress::Tcp(own), _) => is_at(upstream, *own),
            (ListenAddress::Unix(own), UpstreamAddress::Unix(path)) => own == path,
            (ListenAddress::Unix(_), UpstreamAddress::Tcp { .. }) => false,
        };
        let keys = [
            ("https", https),
            ("http", self.http.iter().any(is_it)),
            ("internal", is_it(&self.internal)),
        ];
        keys.into_iter()
            .find_map(|(key, listens)| listens.then_some(key))
    }

    fn check(&self, section: &mut Section<'_, '_>) {
        if self.https.is_empty() && self.http.is_empty() {
            section.refuse(
                "https",
                "is empty, and server.http too, but something must be served",
                None,
            );
        } else if self.https.is_empty() {
            let what = "is empty, so that only trusted proxies are served";
            self.proxies.require_trust(section, "https", what);
        }
        if self.hosts.is_empty() {
            let hint = "name the host that people type, such as [\"localhost\"]";
            section.refuse(
                "hosts",
                "is empty, but every request names a host",
                Some(hint),
            );
        }
        self.check_redirect_hosts(section);
        hsts::check(section, self.hsts.as_ref(), &self.hosts);
        let https = self.https.iter().copied().map(ListenAddress::Tcp);
        let keys = https.map(|address| ("https", address));
        let keys = keys.chain(self.http.iter().map(|address| ("http", address.clone())));
        let all: Vec<_> = keys.chain([("internal", self.internal.clone())]).collect();
        for (number, (key, address)) in all.iter().enumerate() {
            if let ListenAddress::Unix(path) = address {
                check_unix_path(section, key, path);
                self.check_trust_in_socket(section, key);
            }
            let is_any_port = matches!(address, ListenAddress::Tcp(tcp) if tcp.port() == 0);
            let taken = all[..number].iter().find(|(_, other)| other == address);
            if let Some((other, _)) = taken.filter(|_| !is_any_port) {
                section.refuse(
                    key,
                    &format!("{address} is taken by server.{other} already"),
                    None,
                );
            }
        }
    }

    fn check_redirect_hosts(&self, section: &mut Section<'_, '_>) {
        if self.redirect_hosts.is_empty() {
            return;
        }
        if self
            .hosts
            .first()
            .is_some_and(|host| host.starts_with("*."))
        {
            let hint = "put the name that they are redirected to first in server.hosts";
            let message = "is set, but the first of server.hosts stands for many names";
            section.refuse("redirect_hosts", message, Some(hint));
        }
        let both = self
            .redirect_hosts
            .iter()
            .find(|host| self.hosts.contains(host));
        if let Some(host) = both {
            let message = format!("{host} is one of server.hosts, too");
            section.refuse(
                "redirect_hosts",
                &message,
                Some("leave it out of one of the two"),
            );
        }
    }

    /// Only proxies connect to a Unix socket.
    fn check_trust_in_socket(&self, section: &mut Section<'_, '_>, key: &str) {
        if key == "http" && !self.proxies.trusted.trusts(None) {
            let hint = "add \"unix\" to server.trusted_proxies: every process that may open the socket is believed then";
            let message = "is a Unix socket, but its clients are only redirected, because none of them is trusted";
            section.refuse(key, message, Some(hint));
        }
    }
}

/// Whether an upstream's address leads to this address of our own.
fn is_at(upstream: &UpstreamAddress, own: SocketAddr) -> bool {
    let UpstreamAddress::Tcp { host, port } = upstream else {
        return false;
    };
    let named = host.parse::<IpAddr>().ok();
    let answers_loopback = own.ip().is_unspecified() || own.ip().is_loopback() && named.is_none();
    let is_here = named == Some(own.ip()) || upstream.is_on_loopback() && answers_loopback;
    own.port() == *port && is_here
}
