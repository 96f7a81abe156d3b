//! Wires what knows of sessions: what asks Django about them, and what follows their changes.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use crate::config::Config;
use crate::secret::Secrets;
use crate::session::{
    AuthSettings, CookieNames, LeaseFile, LeaseTerms, Leases, LifecycleSettings, Naming, Survivors,
};

pub(super) fn auth_settings(
    config: &Config,
    secrets: &Secrets,
    naming: &Arc<Naming>,
) -> AuthSettings {
    AuthSettings {
        url: config.auth.url.clone(),
        batch_url: config.auth.batch_url.clone(),
        upstream: config.django.upstream.clone(),
        timeout: config.auth.timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
        concurrency: config.auth.concurrency,
        accept_after: config.auth.accept_after,
        hold: config.django.hold,
        terms: LeaseTerms {
            lease: config.auth.lease,
            grace: config.auth.grace,
        },
        secrets: secrets.clone(),
        naming: Arc::clone(naming),
    }
}

/// Which cookies matter, as far as the configuration knows.
pub(super) fn naming(config: &Config) -> Naming {
    let sockets = config.sockets.iter().filter(|socket| !socket.echo);
    let names = CookieNames {
        others: config.auth.cookies.clone(),
        sockets: sockets.map(|socket| socket.path.clone()).collect(),
        ..CookieNames::default()
    };
    Naming::new(config.django.session_cookie.clone(), names)
}

pub(super) fn lifecycle_settings(config: &Config) -> LifecycleSettings {
    LifecycleSettings {
        revalidate: config.auth.revalidate,
        grace: config.auth.grace,
    }
}

/// The leases that a gateway leaves to the next one.
#[derive(Debug)]
pub(super) struct Inheritance {
    file: LeaseFile,
    leases: Arc<Leases>,
}

impl Inheritance {
    /// Takes over what the gateway before left.
    pub(super) fn accept(
        config: &Config,
        secrets: &Secrets,
        leases: &Arc<Leases>,
        naming: &Arc<Naming>,
    ) -> Self {
        let secret = secrets.current.clone();
        let path = config.auth.lease_file.clone();
        let file = LeaseFile::new(path, secret, Arc::clone(naming));
        match file.load(leases, config.auth.revalidate) {
            Ok(0) => {}
            Ok(leases) => tracing::info!(leases, "sessions of the gateway before are known"),
            Err(error) => tracing::warn!(
                file = %config.auth.lease_file.display(), %error,
                "what the gateway before knew of sessions is not used"
            ),
        }
        let leases = Arc::clone(leases);
        Self { file, leases }
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
