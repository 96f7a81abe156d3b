//! A certificate and its key from PEM files.
//!
//! Called by the store, for the user's own files and for those of the local CA. The surprise: an
//! expired certificate is served with a warning, because a site with one is better than none.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::time::ASN1Time;

use super::error::{Role, TlsError};
use crate::unix_time;

/// A certificate chain, the leaf first, with the key that belongs to it.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: CertifiedKey,
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
    let key = CertifiedKey::from_der(chain.clone(), key, &super::provider())?;
    Ok(Pair { chain, key })
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

/// Warns where browsers will refuse a certificate because of its dates.
pub(super) fn warn_of_dates(leaf: &CertificateDer<'_>, path: &Path) {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else {
        return;
    };
    let (validity, now) = (parsed.validity(), ASN1Time::now());
    let cert = path.display();
    if now > validity.not_after {
        let since = &validity.not_after;
        tracing::warn!(%cert, %since, "the certificate has expired; browsers refuse it: renew it");
    } else if now < validity.not_before {
        let from = &validity.not_before;
        tracing::warn!(%cert, %from, "the certificate is not valid yet; is the clock right?");
    }
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

impl Lifetime {
    /// One that has begun.
    pub(super) fn until(ends: SystemTime) -> Self {
        let begins = SystemTime::UNIX_EPOCH;
        Self { begins, ends }
    }

    /// That of this certificate; `None`: it cannot be read.
    pub(super) fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
        let moment = |time: &ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).ok()?;
            unix_time::moment(Duration::from_secs(seconds))
        };
        let validity = parsed.validity();
        Some(Self {
            begins: moment(&validity.not_before)?,
            ends: moment(&validity.not_after)?,
        })
    }
}
