//! The names that a certificate of the local CA is made for.
//!
//! Given by the composition root, read by `store` and `local_ca`.

use std::net::IpAddr;

/// What a certificate of the local CA names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// `server.hosts`.
    pub hosts: Vec<String>,
    /// This machine's own addresses.
    pub addresses: Vec<IpAddr>,
}
