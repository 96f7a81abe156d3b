//! A certificate that an authority has issued, with its key, as text.
//!
//! Made by `acme` from an order or its folder, served by the store.

use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::files::{self, Pair};

/// A certificate that an authority has issued.
pub struct IssuedCertificate {
    pub(super) pair: Pair,
}

impl IssuedCertificate {
    /// Reads key and chain, the leaf first, from one PEM text; `None` where they are no pair.
    pub fn parse(pem: &str) -> Option<Self> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
        let chain: Vec<_> = chain.collect::<Result<_, _>>().ok()?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let pair = files::pair(chain, key).ok()?;
        pair.leaf.lifetime?;
        Some(Self { pair })
    }

    /// Whether it is for this name.
    pub fn is_for(&self, name: &str) -> bool {
        self.pair.leaf.names.iter().any(|own| own == name)
    }

    /// From when it is valid.
    pub fn begins(&self) -> SystemTime {
        self.pair
            .leaf
            .lifetime
            .map_or(SystemTime::UNIX_EPOCH, |life| life.begins)
    }

    /// Until when it is valid.
    pub fn ends(&self) -> SystemTime {
        self.pair
            .leaf
            .lifetime
            .map_or(SystemTime::UNIX_EPOCH, |life| life.ends)
    }

    /// The site's own certificate.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.pair.certificate()
    }
}

impl std::fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IssuedCertificate")
            .field(&self.pair.leaf.names)
            .finish()
    }
}
