//! Reading the configuration again, and putting it in force as a whole or not at all.
//!
//! Done by [`Gateway::run`](super::Gateway::run), one at a time. Everything that can fail comes first; from there on
//! nothing can.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::Gateway;
use super::certificates;
use super::error::StartError;
use super::listeners::Listeners;
use super::routes;
use super::sessions;
use super::shared::{self, SharedParts};
use super::site::{Reached, Site};
use super::surroundings::Surroundings;
use crate::causes::chain;
use crate::config::{Config, ConfigErrors, restart};
use crate::publish::operator::ReloadRefusal;
use crate::session::{Authority, NextAuthority};
use crate::telemetry::metrics::OutcomeLabel;
use crate::tls::store::PreparedCertificates;

type Load = dyn Fn() -> Result<Config, ConfigErrors> + Send + Sync;

/// Where the configuration comes from.
#[derive(Clone)]
pub struct ConfigSource {
    file: PathBuf,
    load: Arc<Load>,
}

/// Why everything is as it was.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// The configuration cannot be used, or needs a restart.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// Something that it names cannot be had.
    #[error("{}", chain(.0))]
    Part(#[from] StartError),
    /// There is none to read again.
    #[error("this gateway was started without a file")]
    NoSource,
    /// Reading it panicked.
    #[error("reading it failed: {0}")]
    Reading(#[from] tokio::task::JoinError),
}

/// What is to be put in force.
struct Prepared {
    site: Site,
    listeners: Listeners,
    authority: NextAuthority,
    /// In place of those that are served.
    certificates: Option<PreparedCertificates>,
}

impl ConfigSource {
    /// This file, read by `load`.
    pub fn new(
        file: PathBuf,
        load: impl Fn() -> Result<Config, ConfigErrors> + Send + Sync + 'static,
    ) -> Self {
        Self {
            file,
            load: Arc::new(load),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &PathBuf {
        &self.file
    }
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Puts in force what the configuration is now, or says why everything is as it was.
    pub(super) async fn reload(&mut self) -> Result<(), ReloadRefusal> {
        let outcome = self.try_reload().await;
        let reloads = &self.site.shared.metrics.reloads;
        let count = |outcome| reloads.get_or_create(&OutcomeLabel { outcome }).inc();
        match outcome {
            Ok(()) => {
                count("done");
                tracing::info!("the configuration was read again, and is in force");
                Ok(())
            }
            Err(error) => {
                count("refused");
                tracing::error!("the configuration stays the old one: {error}");
                Err(ReloadRefusal::Findings(error.to_string()))
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), ReloadError> {
        let source = self.source.as_ref().ok_or(ReloadError::NoSource)?;
        let (now, bound) = (&self.site, &self.listeners);
        let prepared = prepare(source, now, bound, &self.surroundings).await?;
        // Nothing fails from here on.
        let (next, further) = prepared.put_in_force(now);
        self.listeners.adopt(further, &next.config.server);
        self.servers.adopt(&next);
        self.watching.set(next.config.server.watch);
        let before = std::mem::replace(&mut self.site, next);
        self.servers.serve(&mut self.listeners, &self.site);
        // After what answers handshakes was replaced, so that none is let in behind it.
        let Site { config, shared, .. } = &self.site;
        let closed = shared.hub.serve_only(routes::served(config));
        if closed > 0 {
            tracing::info!(closed, "sockets of routes that are gone are closed");
        }
        before.end().await;
        self.site.start();
        Ok(())
    }
}

/// Makes all that the configuration asks for now; changes nothing.
async fn prepare(
    source: &ConfigSource,
    now: &Site,
    bound: &Listeners,
    surroundings: &Surroundings,
) -> Result<Prepared, ReloadError> {
    let load = Arc::clone(&source.load);
    // Files are read, and keys may be made: not on a thread that serves clients.
    let mut config = spawn_blocking(move || load()).await??;
    surroundings.named.put_into(&mut config.server);
    restart::check(&source.file, &now.config, &config)?;
    let certificates = certificates_of(now, &config).await?;
    let listeners = bound
        .bind_further(&config.server)
        .map_err(StartError::from)?;
    let shared = now.shared.next(&now.config, &config);
    let shared = shared.map_err(StartError::from)?;
    let store = match (&now.store, &config.tls) {
        (_, None) => None,
        (Some(store), Some(_)) => Some(Arc::clone(store)),
        (None, Some(_)) => certificates::load(&shared, &config, &certificates::names(&config))?,
    };
    let auth = sessions::auth_settings(&config, &shared.secrets, &shared.naming, &shared.tracer);
    let authority = Authority::prepare(&auth, Arc::clone(&shared.metrics));
    let authority = authority.map_err(StartError::from)?;
    let reached = Reached {
        listeners: [bound, &listeners],
        store,
    };
    Ok(Prepared {
        site: Site::build(config, shared, surroundings, reached)?,
        listeners,
        authority,
        certificates,
    })
}

/// The certificates of a configuration, where they are others than before.
async fn certificates_of(
    now: &Site,
    next: &Config,
) -> Result<Option<PreparedCertificates>, ReloadError> {
    let source = |config: &Config| config.tls.as_ref().map(|tls| tls.source.clone());
    let names = certificates::names(next);
    let Some(next) = source(next).filter(|_| now.store.is_some()) else {
        return Ok(None);
    };
    if source(&now.config).as_ref() == Some(&next) && certificates::names(&now.config) == names {
        return Ok(None);
    }
    let load = move || PreparedCertificates::load(&next, &names);
    Ok(Some(spawn_blocking(load).await?.map_err(StartError::from)?))
}

impl Prepared {
    /// Has what lives on keep to the new settings, and gives the rest away.
    fn put_in_force(self, before: &Site) -> (Site, Listeners) {
        let Site { config, shared, .. } = &self.site;
        // Revocations are remembered for longer before anything is relied upon for longer.
        let remembered = shared::remembered(config, sessions::lease_terms(config));
        shared.hub.adopt(shared::hub_limits(config), remembered);
        shared.authority.adopt(self.authority);
        adopt(shared, config);
        let secrets = &before.shared.secrets;
        if !secrets.are(&shared.secrets) {
            shared.lifecycle.rename(secrets, &shared.secrets);
        }
        if let (Some(store), Some(certificates)) = (&self.site.store, self.certificates) {
            store.adopt(certificates);
        }
        (self.site, self.listeners)
    }
}

fn adopt(shared: &SharedParts, config: &Config) {
    let delivery = &config.delivery;
    let history = shared::history_limits(delivery);
    shared.broker.adopt(history, delivery.idempotency);
    shared.lifecycle.adopt(sessions::lifecycle_settings(config));
    shared.places.adopt(&config.limits);
    if let Some(queue) = &shared.queue {
        queue.adopt(&config.django.queue);
    }
}
