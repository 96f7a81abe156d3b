//! TLS: certificates, their renewal, and the server's half of the handshake.
//!
//! Made by the composition root, used by `server` for each connection. Every rustls server type
//! stays in this module, because the next rustls reshapes them.

pub mod accept;
pub mod audit;
mod by_name;
mod certificates;
pub mod challenges;
pub mod error;
mod files;
mod folder;
mod issue;
pub mod issued;
mod issuing;
mod leaf;
mod local;
mod local_ca;
pub mod names;
pub mod on_demand;
mod ordered;
pub mod status;
pub mod store;
pub mod supplier;
pub mod tickets;
mod watched;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one crypto provider of the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes aws-lc-rs the provider of every TLS client and server in the process. To be called first
/// in `main`: with a second provider in the tree, builders that were not told which to use panic.
pub fn install_provider() {
    // An error says that a provider is installed already, which is what was asked for.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

#[cfg(test)]
mod tests;
