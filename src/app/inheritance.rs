//! The leases that a gateway leaves to the next one.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use super::shared::SharedParts;
use crate::config::Config;
use crate::session::{LeaseFile, Leases, Survivors};

/// The leases that a gateway leaves to the next one.
#[derive(Debug)]
pub(super) struct Inheritance {
    file: LeaseFile,
    leases: Arc<Leases>,
}

impl Inheritance {
    /// Of a gateway with this configuration.
    pub(super) fn of(config: &Config, shared: &SharedParts) -> Self {
        let secret = shared.secrets.current.clone();
        let path = config.auth.lease_file.clone();
        Self {
            file: LeaseFile::new(path, secret, Arc::clone(&shared.naming)),
            leases: Arc::clone(shared.authority.leases()),
        }
    }

    /// Takes over what the gateway before left.
    pub(super) fn accept(&self, config: &Config) {
        match self.file.load(&self.leases, config.auth.revalidate) {
            Ok(0) => {}
            Ok(leases) => tracing::info!(leases, "sessions of the gateway before are known"),
            Err(error) => tracing::warn!(
                file = %config.auth.lease_file.display(), %error,
                "what the gateway before knew of sessions is not used"
            ),
        }
    }

    /// The leases to save, before connections are closed.
    pub(super) fn survey(&self) -> Survivors {
        Survivors::of(&self.leases)
    }

    /// Saves them, when all connections are closed.
    pub(super) fn leave(&self, survivors: &Survivors) {
        match self.file.save(survivors, &self.leases) {
            Ok(leases) => tracing::debug!(leases, "leases are kept for the next gateway"),
            Err(error) => tracing::info!(%error, "leases are not kept for the next gateway"),
        }
    }
}
