//! The composition root: the only place that constructs the parts and wires them.
//!
//! Called by `cli`, and by the integration tests. The surprise: the internal listener has a drain of
//! its own, because health and publishing stay up until the last socket is closed.

mod addresses;
mod limits;
mod listeners;
mod outbox;
mod public;
mod routes;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::health::{DjangoState, Health, Readiness};
use crate::admin::metrics::Exposition;
use crate::config::{Config, ConfigError, SecretSource, secret_file};
use crate::files::open::OpenFiles;
use crate::hub::{Hub, OutboxLimits};
use crate::net::descriptors::Shares;
use crate::net::drain::{Drain, DrainWatch};
use crate::net::listener::ListenError;
use crate::proxy::buffer::{Buffering, BufferingError};
use crate::publish::api::{Api, ApiParts, ApiSettings};
use crate::publish::intake::Intake;
use crate::publish::puller::Puller;
use crate::publish::wake::Wake;
use crate::secret::Secrets;
use crate::server::dispatch::Dispatch;
use crate::server::internal::Internal;
use crate::server::serve::Serve;
use crate::session::{Authority, Lifecycle, Naming, Reach};
use crate::telemetry::metrics::Metrics;
use crate::tls::error::TlsError;
use crate::tls::names::CertificateNames;
use crate::tls::store::CertificateStore;
use crate::upcall::ClientError;
use crate::web::hosts::Hosts;
use addresses::own_addresses;
pub use listeners::Addresses;
use listeners::Listeners;
use sessions::Inheritance;

/// A gateway whose listeners are bound.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    listeners: Listeners,
    store: Arc<CertificateStore>,
    hosts: Arc<Hosts>,
    shares: Shares,
    hub: Arc<Hub>,
    lifecycle: Arc<Lifecycle>,
    authority: Arc<Authority>,
    inheritance: Inheritance,
    dispatch: Arc<Dispatch>,
    internal: Arc<Internal>,
    puller: Option<Puller>,
    readiness: Readiness,
    drain: Drain,
    internal_drain: Drain,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The development secret cannot be had.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Large bodies cannot be kept.
    #[error(transparent)]
    Buffering(#[from] BufferingError),
    /// Django cannot be asked.
    #[error(transparent)]
    Authority(#[from] ClientError),
}

/// What several parts are made of.
struct Shared {
    secrets: Secrets,
    hosts: Arc<Hosts>,
    hub: Arc<Hub>,
    intake: Arc<Intake>,
    wake: Wake,
    naming: Arc<Naming>,
    authority: Arc<Authority>,
    lifecycle: Arc<Lifecycle>,
    buffering: Buffering,
    metrics: Arc<Metrics>,
    files: Arc<OpenFiles>,
    drain: DrainWatch,
}

impl Gateway {
    /// Makes every part and binds every listener. Must be called within a runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let (drain, internal_drain) = (Drain::new(), Drain::new());
        let names = CertificateNames {
            hosts: config.server.hosts.clone(),
            addresses: own_addresses(config.mode, config.server.lan),
        };
        let store = Arc::new(CertificateStore::load(&config.tls, &names)?);
        let room = limits::share(&config);
        let shared = Shared::build(&config, names, (room, drain.watch()))?;
        let readiness = Readiness::new();
        Ok(Self {
            listeners: Listeners::bind(&config.server)?,
            dispatch: Arc::new(shared.dispatch(&config)),
            internal: Arc::new(shared.internal(&config, readiness.clone())),
            puller: shared.puller(&config)?,
            inheritance: Inheritance::accept(&config, &shared.secrets, shared.authority.leases()),
            hosts: shared.hosts,
            shares: room,
            hub: shared.hub,
            lifecycle: shared.lifecycle,
            authority: shared.authority,
            store,
            config,
            readiness,
            drain,
            internal_drain,
        })
    }

    /// Where it listens; port 0 has become a real one.
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses()
    }

    /// The local CA's certificate, where there is one: for those who shall trust it.
    pub fn ca_file(&self) -> Option<&Path> {
        self.store.ca_file()
    }

    /// Serves until `shutdown` completes, then ends everything in order. Returns how many tasks did
    /// not end within `limits.drain_timeout` and were aborted.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> usize {
        self.watch_addresses();
        self.drain.watch().spawn(Arc::clone(&self.lifecycle).run());
        // All listeners are bound, and whoever is answered from here on shall hear so.
        self.readiness.set_ready();
        self.serve();
        if let Some(puller) = self.puller.take() {
            let watch = self.drain.watch();
            watch.spawn(puller.run(watch.clone()));
        }
        shutdown.await;
        tracing::info!(connections = self.hub.len(), "draining");
        let timeout = self.config.limits.drain_timeout;
        let spread = self.config.limits.drain_spread.min(timeout);
        let survivors = self.inheritance.survey();
        let (left, ()) = tokio::join!(self.drain.drain(timeout), self.hub.drain(spread));
        self.inheritance.leave(&survivors);
        if left > 0 {
            tracing::warn!(left, "drain_timeout is over, what was left is cut off");
        }
        self.internal_drain.drain(Duration::ZERO).await;
        left
    }

    /// Starts the accept loops.
    fn serve(&mut self) {
        let [limits, own] = limits::of_listeners(&self.config.limits, self.shares);
        let listeners = std::mem::take(&mut self.listeners);
        let redirect = public::redirect(self.config.mode, &listeners, &self.hosts);

        let watch = self.internal_drain.watch();
        let internal = Arc::new(Serve::new(Arc::clone(&self.internal), own, watch.clone()));
        if let Some(listener) = listeners.internal {
            watch.spawn(internal.run_plain(listener));
        }

        let watch = self.drain.watch();
        watch.spawn(self.authority.run(watch.clone()));
        let public = Arc::new(Serve::new(
            Arc::clone(&self.dispatch),
            limits,
            watch.clone(),
        ));
        let redirect = Serve::new(Arc::new(redirect), limits, watch.clone()).sharing(&public);
        let redirect = Arc::new(redirect);
        for listener in listeners.http {
            watch.spawn(Arc::clone(&redirect).run_plain(listener));
        }
        for listener in listeners.https {
            watch.spawn(Arc::clone(&public).run_tls(listener, Arc::clone(&self.store)));
        }
    }
}

impl Shared {
    fn build(
        config: &Config,
        names: CertificateNames,
        (shares, drain): (Shares, DrainWatch),
    ) -> Result<Self, StartError> {
        let secrets = match &config.django.secret {
            SecretSource::Given(secrets) => secrets.clone(),
            SecretSource::DevelopmentFile(path) => secret_file::load_or_make(path)?,
        };
        let outbox = OutboxLimits {
            frames: config.delivery.outbox_frames,
            bytes: config.delivery.outbox_size,
        };
        let metrics = Arc::new(Metrics::default());
        let naming = Arc::new(sessions::naming(config));
        let auth = sessions::auth_settings(config, &secrets, &naming);
        let hub = Hub::new(outbox)
            .with_connections_per_user(config.limits.connections_per_user)
            .remembering(auth.terms.longest());
        let hub = Arc::new(hub);
        let authority = Authority::build(&auth, Arc::clone(&hub), Arc::clone(&metrics))?;
        let authority = Arc::new(authority);
        let lifecycle = sessions::lifecycle(config, &authority, &hub, (&secrets, &drain));
        let intake = Intake::new(
            &config.delivery,
            Arc::clone(&hub),
            Arc::clone(&lifecycle),
            Arc::clone(&metrics),
        );
        Ok(Self {
            secrets,
            hosts: Arc::new(Hosts::new(names.hosts, names.addresses)),
            naming,
            authority,
            lifecycle,
            hub,
            intake: Arc::new(intake),
            wake: Wake::default(),
            buffering: Buffering::open(&config.buffering)?,
            metrics,
            files: Arc::new(OpenFiles::new(shares.files)),
            drain,
        })
    }

    fn internal(&self, config: &Config, readiness: Readiness) -> Internal {
        let settings = ApiSettings {
            secrets: self.secrets.clone(),
            body_timeout: config.limits.body_timeout,
        };
        let parts = ApiParts {
            intake: Arc::clone(&self.intake),
            hub: Arc::clone(&self.hub),
            outbox: self.outbox(config),
        };
        let authority = Arc::clone(&self.authority);
        let django = move || match authority.reach() {
            Reach::Unknown => DjangoState::Unknown,
            Reach::Reachable => DjangoState::Reachable,
            Reach::Unreachable => DjangoState::Unreachable,
        };
        Internal {
            api: Api::new(settings, parts),
            health: Health::new(readiness, self.drain.clone(), django),
            exposition: Exposition::new(&self.metrics),
        }
    }
}
