//! A certificate and its key from PEM files.
//!
//! Used for the user's own files and for those of the local CA.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::{Role, TlsError};
use super::leaf::Leaf;

/// A certificate chain, the leaf first, with the key that belongs to it.
pub(super) struct Pair {
    pub(super) leaf: Leaf,
    pub(super) key: Arc<CertifiedKey>,
}

impl Pair {
    /// The site's own certificate, which is never missing from a chain that was loaded.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

/// Which version of a file is on the disk; `None` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Reads a pair and proves that it is one.
pub(super) fn load(cert: &Path, key: &Path) -> Result<Pair, TlsError> {
    let chain = read_chain(cert)?;
    let private = read_key(key)?;
    pair(chain, private).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        },
        source => TlsError::Unusable {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        },
    })
}

/// Puts a chain and a key together, if they belong together.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Pair, rustls::Error> {
    let leaf = chain.first().map(Leaf::of).unwrap_or_default();
    let key = CertifiedKey::from_der(chain, key, &super::provider())?;
    Ok(Pair {
        leaf,
        key: Arc::new(key),
    })
}

/// Reads the certificates of a file.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(Role::Certificate, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| broken(Role::Certificate, path, source))?;
    if chain.is_empty() {
        return Err(TlsError::Absent {
            role: Role::Certificate,
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

/// Reads the first private key of a file.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(Role::Key, path)?;
    if String::from_utf8_lossy(&text).contains("ENCRYPTED") {
        return Err(TlsError::Encrypted {
            path: path.to_owned(),
        });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| broken(Role::Key, path, source))
}

fn read(role: Role, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        role,
        path: path.to_owned(),
        source,
    })
}

fn broken(role: Role, path: &Path, source: pem::Error) -> TlsError {
    let path = path.to_owned();
    match source {
        pem::Error::NoItemsFound => TlsError::Absent { role, path },
        source => TlsError::Pem { role, path, source },
    }
}

/// Which version of `path` is on the disk. Follows links, as certbot and Kubernetes renew by
/// turning a link.
pub(super) fn version(path: &Path) -> Option<Version> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok()?;
    Some(Version {
        inode: found.ino(),
        size: found.size(),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
