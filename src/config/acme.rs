//! `[tls.acme]`: certificates that an authority issues by itself (ACME, RFC 8555).
//!
//! Read by `tls`; without the section there is no ACME. Names with a star are left out, since only a record
//! in the DNS proves them.

use std::net::IpAddr;
use std::path::PathBuf;

use super::document::Document;
use super::kind::ValueKind;
use super::section::Section;
use super::server::ServerConfig;
use crate::secret::Secret;
use crate::state_folder::StateFolder;

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// `[tls.acme]`: certificates that an authority issues by itself.
#[derive(Clone, Debug)]
pub struct AcmeConfig {
    /// Which names get one.
    pub names: AcmeNames,
    /// The URL of the authority's directory.
    pub directory: String,
    /// Where the authority may write to.
    pub email: Option<String>,
    /// A PEM file with the root of a private directory's own certificate.
    pub ca: Option<PathBuf>,
    /// The account at the authority that the gateway's is bound to.
    pub eab: Option<ExternalAccount>,
    /// Where account, keys and certificates are kept.
    pub folder: PathBuf,
}

/// Which names get a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeNames {
    /// `server.hosts` and `server.redirect_hosts`.
    Hosts,
    /// These, and any name that a client asks for and Django allows.
    Django,
}

/// An account that somebody has at the authority (RFC 8555 section 7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// How the authority calls it.
    pub id: String,
    /// Its key, as the authority writes it: base64url.
    pub key: Secret,
}

const NAMES: ValueKind<AcmeNames> = ValueKind {
    expected: "\"hosts\" or \"django\"",
    parse: |text| match text {
        "hosts" => Ok(AcmeNames::Hosts),
        "django" => Ok(AcmeNames::Django),
        _ => Err(None),
    },
};

const URL: ValueKind<String> = ValueKind {
    expected: "the https:// URL of an ACME directory",
    parse: |text| {
        let is_https = text.strip_prefix("https://").is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        });
        if is_https && text.parse::<http::Uri>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    },
};

const EMAIL: ValueKind<String> = ValueKind {
    expected: "an e-mail address such as \"ops@example.com\"",
    parse: |text| {
        let whole = text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        let plain = text.chars().all(|c| c.is_ascii_graphic());
        let hint = text
            .strip_prefix("mailto:")
            .map(|bare| format!("write \"{bare}\""));
        if whole && plain && hint.is_none() {
            Ok(text.to_owned())
        } else {
            Err(hint)
        }
    },
};

const ID: ValueKind<String> = ValueKind {
    expected: "the id that the authority gave",
    parse: |text| {
        if text.is_empty() {
            Err(None)
        } else {
            Ok(text.to_owned())
        }
    },
};

impl AcmeConfig {
    /// Reads the section; `None` where it is not there.
    pub(super) fn read(document: &mut Document<'_>) -> Option<Self> {
        document.findings.known.add("tls.acme", "eab");
        let folder = StateFolder::beside(&document.findings.folder).acme();
        let mut section = document.section("tls.acme");
        // Variables alone will do.
        let keys = ["names", "directory", "email", "ca", "folder"];
        let is_there = section.table.is_some() || keys.into_iter().any(|key| section.has(key));
        let config = Self {
            names: section.value("names", &NAMES).unwrap_or(AcmeNames::Hosts),
            directory: section
                .value("directory", &URL)
                .unwrap_or_else(|| DIRECTORY.to_owned()),
            email: section.optional("email", &EMAIL),
            ca: existing(&mut section, "ca"),
            folder: section.path("folder").unwrap_or(folder),
            eab: None,
        };
        let has_eab = section.table.is_some_and(|table| table.contains_key("eab"));
        if !is_there {
            return None;
        }
        let eab = has_eab.then(|| ExternalAccount::read(document)).flatten();
        Some(Self { eab, ..config })
    }

    /// Whether the authority may issue for a host of the configuration: not for what has no meaning outside
    /// of a machine or network, and by neither challenge for a star.
    pub fn is_public(host: &str) -> bool {
        let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
        host.contains('.') && !host.starts_with("*.") && !is_address
    }

    /// Refuses what could never have a certificate.
    pub(super) fn check(&self, document: &mut Document<'_>, server: &ServerConfig) {
        let mut section = document.section("tls.acme");
        let mut hosts = server.hosts.iter().chain(&server.redirect_hosts);
        if server.https.is_empty() {
            let hint = "leave [tls.acme] out: the proxy that ends TLS has the certificates";
            section.refuse("names", "nothing is served by HTTPS here", Some(hint));
        } else if self.names == AcmeNames::Hosts && !hosts.any(|host| Self::is_public(host)) {
            let hint = "put the public names of the site into server.hosts; names with a star and addresses \
                        need certificates of your own, as files";
            let message = "none of server.hosts can have a certificate by ACME";
            section.refuse("names", message, Some(hint));
        } else if self.names == AcmeNames::Django && !document.section("server").has("hosts") {
            let hint =
                "put a name of the site's own into server.hosts, which ALLOWED_HOSTS has too";
            let message = "Django is asked which names it allows under the first of server.hosts, and there is none";
            document
                .section("tls.acme")
                .refuse("names", message, Some(hint));
        }
    }
}

impl ExternalAccount {
    fn read(document: &mut Document<'_>) -> Option<Self> {
        let mut section = document.section("tls.acme.eab");
        let id = section.value("id", &ID);
        let file = existing(&mut section, "key_file");
        let (Some(id), Some(file)) = (id, file) else {
            for key in ["id", "key_file"] {
                if !section.has(key) {
                    section.refuse(key, "is missing", None);
                }
            }
            return None;
        };
        match std::fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => Some(Self {
                id,
                key: Secret::new(text.trim().as_bytes().to_vec()),
            }),
            Ok(_) => {
                section.refuse("key_file", &format!("{} is empty", file.display()), None);
                None
            }
            Err(error) => {
                let message = format!("{} cannot be read: {error}", file.display());
                section.refuse("key_file", &message, None);
                None
            }
        }
    }
}

/// A file that has to be there.
fn existing(section: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    let path = section.path(key)?;
    if !path.is_file() {
        section.refuse(key, &format!("there is no file {}", path.display()), None);
        return None;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load::parse;
    use crate::config::{Environment, Mode};

    fn read(text: &str, variables: &[(&str, &str)]) -> Option<AcmeConfig> {
        let variables = variables.iter();
        let owned = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: Environment = owned.collect();
        let config = parse(text, Path::new("/site/gateway.toml"), &environment).unwrap();
        let acme = config.tls.unwrap().acme?;
        assert_eq!(config.mode, Mode::Production);
        Some(acme)
    }

    #[test]
    fn the_section_or_a_variable_of_it_orders_certificates() {
        let secret = ("GATEPOST_SECRET", "0123456789abcdef0123456789abcdef");
        let hosts = "[server]\nhosts = [\"www.example.com\"]\n";
        assert!(read(hosts, &[secret]).is_none());
        let acme = read(&format!("{hosts}[tls.acme]\n"), &[secret]).unwrap();
        assert_eq!(acme.directory, DIRECTORY);
        assert_eq!(acme.folder, Path::new("/site/.gatepost/acme"));
        let email = ("GATEPOST_TLS__ACME__EMAIL", "ops@example.com");
        let acme = read(hosts, &[secret, email]).unwrap();
        assert_eq!(acme.email.as_deref(), Some("ops@example.com"));
    }

    #[test]
    fn names_of_the_internet_alone_can_have_a_certificate() {
        for host in ["example.com", "a.b.example.com", "xn--bcher-kva.example"] {
            assert!(AcmeConfig::is_public(host), "{host}");
        }
        for host in ["localhost", "*.example.com", "192.0.2.1", "[2001:db8::1]"] {
            assert!(!AcmeConfig::is_public(host), "{host}");
        }
    }
}
