//! Why there is no certificate to serve.
//!
//! Made by this module only; a start stops with it, `gatepost check` lists them all, a running gateway
//! logs it and keeps what it has.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {role} {}; {}", path.display(), reading_hint(source))]
    Read {
        /// What the file should hold.
        role: Role,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds nothing of the kind.
    #[error(
        "{} holds no {role} in PEM form (a block that begins `-----BEGIN {}-----`)",
        path.display(),
        role.label()
    )]
    Absent {
        /// What the file should hold.
        role: Role,
        /// The file.
        path: PathBuf,
    },
    /// The key is locked with a passphrase that nobody can type here.
    #[error(
        "the private key {0} is encrypted with a passphrase; write it without one: \
         `openssl pkey -in {0} -out site.key`",
        path.display()
    )]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// PEM that breaks off or does not decode.
    #[error(
        "the {role} {} is broken PEM; copy the file again from where it was issued",
        path.display()
    )]
    Pem {
        /// What the file should hold.
        role: Role,
        /// The file.
        path: PathBuf,
        /// Where it is broken.
        source: rustls::pki_types::pem::Error,
    },
    /// Key and certificate are not a pair.
    #[error(
        "the private key {} does not belong to the certificate {}; take both from the same issue, \
         and put the site's own certificate first in its file",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// Nobody accepts it any more.
    #[error("the certificate {} has expired on {ends}; renew it", cert.display())]
    Expired {
        /// The certificate file.
        cert: PathBuf,
        /// When it ended.
        ends: String,
    },
    /// Only one of two certificates would ever be presented.
    #[error(
        "the certificates {first} and {second} both hold the name {name}, and only the first would be \
         presented for it; leave one of them out"
    )]
    SharedName {
        /// The name.
        name: String,
        /// The one that is named first.
        first: String,
        /// The other.
        second: String,
    },
    /// Well formed, but not for a TLS server.
    #[error("the certificate {} with the key {} cannot be used", cert.display(), key.display())]
    Unusable {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The local CA cannot be kept.
    #[error(
        "cannot write {}; the local CA is kept there, so the gateway's user must be able to",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Half of the local CA is gone, or is something else.
    #[error(
        "the local CA in {} is broken; remove ca.pem and ca.key there to have a new one made \
         (browsers must then be told to trust it)",
        directory.display()
    )]
    BrokenCa {
        /// The folder.
        directory: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A host that no certificate can name.
    #[error("`{host}` cannot be named in a certificate; correct `server.hosts`")]
    Name {
        /// The host.
        host: String,
    },
    /// A certificate could not be signed.
    #[error("cannot make a certificate")]
    Issue(#[from] rcgen::Error),
    /// rustls cannot be set up.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// What a file should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A certificate chain, the leaf first.
    Certificate,
    /// A private key.
    Key,
}

impl Role {
    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::Key => "PRIVATE KEY",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        })
    }
}

impl TlsError {
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn broken_ca(
        directory: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::BrokenCa {
            directory: directory.to_owned(),
            source: source.into(),
        }
    }
}

fn reading_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "paths in gateway.toml are taken from its own folder",
        io::ErrorKind::PermissionDenied => "the gateway's user may not read it",
        _ => "look at the file",
    }
}
