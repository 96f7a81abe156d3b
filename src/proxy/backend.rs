//! One address of an upstream: its idle connections, and whether it could be reached last time.
//!
//! Kept by `upstream`.

use std::sync::atomic::AtomicBool;

use super::pool::Pool;
use crate::config::UpstreamAddress;

/// One address of an upstream.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) address: UpstreamAddress,
    pub(super) text: String,
    pub(super) pool: Pool,
    pub(super) away: AtomicBool,
}

impl Backend {
    /// Nothing is known of it yet.
    pub(super) fn new(address: UpstreamAddress) -> Self {
        Self {
            text: address_text(&address),
            address,
            pool: Pool::default(),
            away: AtomicBool::new(false),
        }
    }
}

/// An address as people write it.
fn address_text(address: &UpstreamAddress) -> String {
    match address {
        UpstreamAddress::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        UpstreamAddress::Tcp { host, port } => format!("{host}:{port}"),
        UpstreamAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}
