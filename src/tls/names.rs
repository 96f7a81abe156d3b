//! The names that a certificate of the local CA is made for.
//!
//! Given by the composition root, read by `store` and `local_ca`.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

/// Stands for a star where a certificate is tried.
const LABEL: &str = "gatepost";

/// What a certificate of the local CA names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// `server.hosts` and `server.redirect_hosts`.
    pub hosts: Vec<String>,
    /// This machine's own addresses.
    pub addresses: Vec<IpAddr>,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertifiedName {
    /// As certificates and configuration write it; `*.` in front stands for one label.
    pub(super) written: String,
    /// What a client would check the certificate for: with a label in place of a star.
    pub(super) checked: ServerName<'static>,
}

impl CertifiedName {
    /// The name of a host of the configuration; `None` where no certificate can have it.
    pub(super) fn of(host: &str) -> Option<Self> {
        let bare = host.trim_matches(['[', ']']);
        let checked = match bare.strip_prefix("*.") {
            Some(domain) => ServerName::try_from(format!("{LABEL}.{domain}")),
            None => ServerName::try_from(bare.to_owned()),
        };
        let checked = checked.ok()?;
        let written = match bare.strip_prefix("*.") {
            Some(_) => bare.to_owned(),
            None => checked.to_str().into_owned(),
        };
        Some(Self { written, checked })
    }

    /// The domain that holds it and nothing else.
    pub(super) fn domain(&self) -> &str {
        self.written.trim_start_matches("*.")
    }
}

impl From<IpAddr> for CertifiedName {
    fn from(address: IpAddr) -> Self {
        let checked = ServerName::from(address);
        Self {
            written: checked.to_str().into_owned(),
            checked,
        }
    }
}
