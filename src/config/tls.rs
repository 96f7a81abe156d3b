//! `[tls]`: where the certificate comes from.

use std::path::PathBuf;

use super::document::Document;

/// `[tls]`: where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// A local CA under this directory, made on first start.
    LocalCa {
        /// `certs/` beside `gateway.toml`.
        directory: PathBuf,
    },
    /// PEM files, the leaf first in `cert`.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
}

impl TlsConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let mut section = document.section("tls");
        let paths = ["cert", "key"].map(|name| {
            let path = section.path(name)?;
            if !path.is_file() {
                section.refuse(name, &format!("there is no file {}", path.display()), None);
            }
            Some(path)
        });
        match paths {
            [Some(cert), Some(key)] => return Self::Files { cert, key },
            [Some(_), None] => section.refuse(
                "cert",
                "is set, but tls.key is not",
                Some("set both, or neither for a local CA"),
            ),
            [None, Some(_)] => section.refuse(
                "key",
                "is set, but tls.cert is not",
                Some("set both, or neither for a local CA"),
            ),
            [None, None] => {}
        }
        Self::LocalCa {
            directory: section.findings.folder.join("certs"),
        }
    }
}
