//! `[tls]`: where certificates come from.
//!
//! Read by `load`. The first pair is the one that clients get who ask for a name that none holds, or for
//! no name, so the order counts.

use std::path::PathBuf;

use super::acme::AcmeConfig;
use super::document::Document;
use super::section::Section;
use super::server::ServerConfig;
use crate::state_folder::StateFolder;

/// The local CA's certificate, in its directory.
pub const CA_FILE: &str = "ca.pem";

/// `[tls]`: certificates and tickets.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Where certificates come from.
    pub source: CertificateSource,
    /// What an authority issues for names that none of those holds.
    pub acme: Option<AcmeConfig>,
    /// Where the keys of session tickets are kept.
    pub ticket_file: PathBuf,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// A local CA under this directory, made on first start.
    LocalCa {
        /// `certs/` beside `gateway.toml`.
        directory: PathBuf,
    },
    /// Pairs of PEM files, `cert` and `key` first, then `certificates`; none only where there is ACME.
    Files(Vec<CertificateFiles>),
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain in PEM form, the leaf first.
    pub cert: PathBuf,
    /// The private key in PEM form.
    pub key: PathBuf,
}

impl TlsConfig {
    /// The local CA's certificate, which the first start makes; `None` where there is no local CA.
    pub fn ca_file(&self) -> Option<PathBuf> {
        let CertificateSource::LocalCa { directory } = &self.source else {
            return None;
        };
        Some(directory.join(CA_FILE))
    }

    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let mut section = document.section("tls");
        section.findings.known.add("tls", "certificates");
        let directory = section.findings.folder.join("certs");
        let ticket_file = StateFolder::beside(&section.findings.folder).tickets();
        let first = CertificateFiles::read(&mut section, "set both, or neither for a local CA");
        let mut files = Vec::from_iter(first);
        for entry in document.entries("tls.certificates") {
            let mut section = document.entry(entry);
            let found = CertificateFiles::read(&mut section, "each certificate has its key");
            match found {
                Some(pair) if files.iter().any(|other| other.cert == pair.cert) => section.refuse(
                    "cert",
                    &format!("{} is there already", pair.cert.display()),
                    Some("leave one of the two out"),
                ),
                Some(pair) => files.push(pair),
                None if section.has("cert") || section.has("key") => {}
                None => section.refuse("cert", "is missing, and key", None),
            }
        }
        let acme = AcmeConfig::read(document);
        let source = if files.is_empty() && acme.is_none() {
            CertificateSource::LocalCa { directory }
        } else {
            CertificateSource::Files(files)
        };
        Self {
            source,
            acme,
            ticket_file,
        }
    }
}

impl TlsConfig {
    /// Refuses what the rest of the configuration leaves nothing to do.
    pub(super) fn check(&self, document: &mut Document<'_>, server: &ServerConfig) {
        if let Some(acme) = &self.acme {
            acme.check(document, server);
        }
    }
}

impl CertificateFiles {
    /// The pair that a table names; `hint` says what half of one lacks.
    fn read(section: &mut Section<'_, '_>, hint: &str) -> Option<Self> {
        let paths = ["cert", "key"].map(|name| {
            let path = section.path(name)?;
            if !path.is_file() {
                section.refuse(name, &format!("there is no file {}", path.display()), None);
            }
            Some(path)
        });
        let (set, missing) = match paths {
            [Some(cert), Some(key)] => return Some(Self { cert, key }),
            [Some(_), None] => ("cert", "key"),
            [None, Some(_)] => ("key", "cert"),
            [None, None] => return None,
        };
        let message = format!("is set, but {}.{missing} is not", section.name);
        section.refuse(set, &message, Some(hint));
        None
    }
}
