//! Where an upstream listens, as `http://host:port` or `unix:/path`.
//!
//! Used by `[django]`, `[frontend]`, `[[upstreams]]` and `server.internal`.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::host::is_host_name;
use super::kind::{Hint, ValueKind};
use super::section::Section;

/// The longest path of a Unix socket on Linux, whose `sun_path` has 108 bytes with a final NUL.
const LONGEST_UNIX_PATH: usize = 107;

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// A name or address and a port, from `http://host:port`. An IPv6 address has no brackets.
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket, from `unix:/path`.
    Unix(PathBuf),
}

impl UpstreamAddress {
    /// Whether only this machine can be meant.
    pub fn is_on_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => host == "localhost" || host.ends_with(".localhost"),
            },
        }
    }
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) const UPSTREAM: ValueKind<UpstreamAddress> = ValueKind {
    expected: "an upstream such as \"http://127.0.0.1:8000\" or \"unix:/run/app.sock\"",
    parse: |text| {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(UpstreamAddress::Unix);
        }
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| scheme_hint(text))?;
        if let Some(path) = rest.strip_prefix("unix:") {
            // nginx writes it like this, with a colon and the request's path behind.
            let socket = path.split(':').next().unwrap_or_default();
            return Err(Some(format!("write \"unix:{socket}\"")));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Some(
                "the gateway sends no user and password to an upstream: leave them out".to_owned(),
            ));
        }
        if !matches!(path, "" | "/") {
            return Err(Some(format!(
                "requests keep their own path: write \"http://{authority}\""
            )));
        }
        tcp(authority).ok_or(None)
    },
};

/// The addresses of `upstream`, as every section with such a key has them.
pub(super) fn read_upstreams(section: &mut Section<'_, '_>) -> Option<Vec<UpstreamAddress>> {
    let mut addresses = section.list("upstream", &UPSTREAM)?;
    for address in &mut addresses {
        if let UpstreamAddress::Unix(path) = address {
            *path = section.findings.folder.join(&path);
            check_unix_path(section, "upstream", path);
        }
    }
    if addresses.is_empty() {
        section.refuse("upstream", "names no upstream", None);
    }
    Some(addresses)
}

fn scheme_hint(text: &str) -> Hint {
    if text.starts_with("https://") {
        return Some(
            "the gateway speaks plain HTTP to upstreams, which should be \
             on this machine or a private network"
                .to_owned(),
        );
    }
    for scheme in ["http+unix://", "https+unix://", "http://unix:"] {
        if let Some(socket) = text.strip_prefix(scheme) {
            let socket = socket.replace("%2F", "/").replace("%2f", "/");
            return Some(format!("write \"unix:{socket}\""));
        }
    }
    if text.starts_with('/') {
        return Some(format!("write \"unix:{text}\""));
    }
    tcp(text).map(|_| format!("write \"http://{text}\""))
}

fn tcp(authority: &str) -> Option<UpstreamAddress> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        _ => (authority, 80),
    };
    let host = match host.strip_prefix('[') {
        Some(host) => host
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()?
            .to_string(),
        None => Some(host).filter(|host| is_host_name(host))?.to_lowercase(),
    };
    Some(UpstreamAddress::Tcp { host, port })
}

/// The path behind `unix:`, also where it was written like a URL (`unix:///run/app.sock`).
pub(super) fn unix_path(text: &str) -> Result<PathBuf, Hint> {
    let text = match text.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => return Err(Some("write unix:/path with one slash".to_owned())),
        None => text,
    };
    if text.is_empty() || text.ends_with('/') || text.contains('\0') {
        return Err(None);
    }
    Ok(text.into())
}

/// A longer path cannot be bound or connected to, and the system's error does not say so.
pub(super) fn check_unix_path(section: &mut Section<'_, '_>, key: &str, path: &Path) {
    let length = path.as_os_str().len();
    if length > LONGEST_UNIX_PATH {
        let message = format!(
            "the path {} has {length} bytes, a Unix socket's has at most {LONGEST_UNIX_PATH}",
            path.display()
        );
        section.refuse(key, &message, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UpstreamAddress, Hint> {
        (UPSTREAM.parse)(text)
    }

    #[test]
    fn an_upstream_is_host_and_port_or_a_unix_socket() {
        let tcp = |host: &str, port| UpstreamAddress::Tcp {
            host: host.to_owned(),
            port,
        };
        assert_eq!(parse("http://127.0.0.1:8000"), Ok(tcp("127.0.0.1", 8000)));
        assert_eq!(parse("http://django/"), Ok(tcp("django", 80)));
        assert_eq!(
            parse("http://my_app.local:8000"),
            Ok(tcp("my_app.local", 8000))
        );
        assert_eq!(parse("http://[::1]:8000"), Ok(tcp("::1", 8000)));
        assert_eq!(
            parse("unix:/run/a.sock"),
            Ok(UpstreamAddress::Unix("/run/a.sock".into()))
        );
        assert_eq!(
            parse("unix:///run/a.sock"),
            Ok(UpstreamAddress::Unix("/run/a.sock".into()))
        );
        assert_eq!(tcp("::1", 80).to_string(), "http://[::1]:80");
    }

    #[test]
    fn what_would_be_ignored_is_refused_with_a_hint() {
        let hint = |text| parse(text).unwrap_err().unwrap_or_default();
        assert!(hint("http://u:p@h:80").contains("user and password"));
        assert!(hint("http://h:80/app").contains("\"http://h:80\""));
        assert!(hint("http://h:80?x").contains("\"http://h:80\""));
        assert!(hint("https://h").contains("plain HTTP"));
        assert!(hint("django:8000").contains("\"http://django:8000\""));
        for text in [
            "http://unix:/run/x.sock",
            "http://unix:/run/x.sock:/app/",
            "http+unix://%2Frun%2Fx.sock",
            "/run/x.sock",
        ] {
            assert_eq!(hint(text), "write \"unix:/run/x.sock\"", "{text}");
        }
        for text in [
            "",
            "http://",
            "http://h:0",
            "http://h:99999",
            "http://[::1",
            "unix:",
            "unix:/run/",
            "ftp://h",
            "http://a b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        let on_loopback = |text| parse(text).unwrap().is_on_loopback();
        for text in [
            "http://127.0.0.9:1",
            "http://[::1]:1",
            "http://localhost:1",
            "unix:/x",
        ] {
            assert!(on_loopback(text), "{text}");
        }
        for text in [
            "http://10.0.0.1:1",
            "http://django:1",
            "http://localhost.example.com:1",
        ] {
            assert!(!on_loopback(text), "{text}");
        }
    }
}
