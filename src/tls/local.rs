//! The local CA's certificate as it is served: made anew when names change, or before it ends.
//!
//! Looked at once a second by `certificates`.

use crate::causes;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::TlsError;
use super::files::Pair;
use super::leaf::Lifetime;
use super::local_ca::{LocalCa, RENEWAL};
use super::names::CertificateNames;

/// How long after a failure the local CA is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// A certificate of the local CA.
pub(super) struct LocalCertificate {
    ca: LocalCa,
    names: CertificateNames,
    lifetime: Option<Lifetime>,
    pub(super) pair: Pair,
    /// Why it could not be renewed.
    pub(super) trouble: Option<String>,
}

impl LocalCertificate {
    /// Reads it from the folder, or makes it there.
    pub(super) fn load(directory: &Path, names: &CertificateNames) -> Result<Self, TlsError> {
        let ca = LocalCa::new(directory);
        let pair = ca.leaf(names)?;
        Ok(Self {
            ca,
            names: names.clone(),
            lifetime: pair.leaf.lifetime,
            pair,
            trouble: None,
        })
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.ca.ca_file()
    }

    /// Makes it anew where it is due; whether it was.
    pub(super) fn look(&mut self, addresses: Vec<IpAddr>) -> Result<bool, TlsError> {
        if self.names.addresses == addresses && !self.needs_renewal() {
            return Ok(false);
        }
        self.names.addresses = addresses;
        // What hinders it (a full disk) leaves no trace, so it is tried again without a change.
        self.lifetime = Some(Lifetime::until(SystemTime::now() + RENEWAL + RETRY));
        match self.ca.leaf(&self.names) {
            Ok(pair) => {
                self.lifetime = pair.leaf.lifetime;
                self.pair = pair;
                self.trouble = None;
                Ok(true)
            }
            Err(error) => {
                self.trouble = Some(causes::chain(&error));
                Err(error)
            }
        }
    }

    /// Whether the certificate ends soon, or has not begun, since the clock was set back.
    fn needs_renewal(&self) -> bool {
        let now = SystemTime::now();
        self.lifetime
            .is_some_and(|life| now < life.begins || life.ends < now + RENEWAL)
    }
}
