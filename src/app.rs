//! The composition root: the only place that constructs the parts and wires them.
//!
//! Called by `cli`, and by the integration tests. The surprise: the internal listener has a drain of
//! its own, because health and publishing stay up until the last socket is closed.

mod addresses;
mod ca_page;
mod certificates;
mod error;
mod internal;
mod limits;
mod listeners;
mod outbox;
mod public;
mod routes;
mod sessions;
mod shared;
mod whereabouts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::health::Readiness;
use crate::admin::operations::Operations;
use crate::app_server::{Supervisor, SupervisorSettings};
use crate::broker::PresenceTeller;
use crate::config::Config;
use crate::hub::Hub;
use crate::net::descriptors::DescriptorShares;
use crate::net::drain::Drain;
use crate::publish::puller::Puller;
use crate::server::access::{AccessLog, AccessWriter};
use crate::server::dispatch::Dispatch;
use crate::server::health::Checked;
use crate::server::internal::Internal;
use crate::server::serve::Server;
use crate::session::{Authority, Lifecycle};
use crate::tls::store::CertificateStore;
use crate::web::hosts::Hosts;
use addresses::OwnAddresses;
pub use ca_page::CaPageServer;
pub use certificates::make_certificates;
pub use error::StartError;
pub use listeners::BoundAddresses;
use listeners::Listeners;
use sessions::Inheritance;
use shared::SharedParts;
use whereabouts::Whereabouts;

/// How long the last lines of the access log may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A gateway whose listeners are bound.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    listeners: Listeners,
    store: Option<Arc<CertificateStore>>,
    hosts: Arc<Hosts>,
    shares: DescriptorShares,
    hub: Arc<Hub>,
    lifecycle: Arc<Lifecycle>,
    authority: Arc<Authority>,
    inheritance: Inheritance,
    dispatch: Arc<Dispatch>,
    internal: Arc<Internal>,
    puller: Option<Puller>,
    presence: Option<PresenceTeller>,
    readiness: Readiness,
    access: Option<AccessWriter>,
    app_server: Option<Supervisor>,
    operations: Operations,
    whereabouts: Option<Whereabouts>,
    drain: Drain,
    internal_drain: Drain,
}

impl Gateway {
    /// Makes every part and binds every listener. Must be called within a runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let (drain, internal_drain) = (Drain::new(), Drain::new());
        let names = certificates::names(&config);
        let room = limits::share(&config);
        let shared = SharedParts::build(&config, names.addresses.clone(), room, drain.watch())?;
        let store = certificates::load(&shared, &config, &names)?;
        let readiness = Readiness::new();
        let listeners = Listeners::bind(&config.server)?;
        let whereabouts = Whereabouts::tell(&config.state, &listeners, &config.server);
        let token = whereabouts.as_ref().map(Whereabouts::token);
        let mut internal = internal::internal(&shared, &config, readiness.clone(), token);
        internal.health = internal.health.with_certificates(store.clone());
        let inheritance = inheritance(&config, &shared);
        let redirect = public::redirect(config.mode, &listeners, &shared.hosts);
        let access = public::access(&shared, &config)?;
        let dispatch = public::dispatch(&shared, &config, redirect, access.as_ref());
        Ok(Self {
            listeners,
            dispatch: Arc::new(dispatch),
            internal: Arc::new(internal),
            operations: shared.operations.clone(),
            whereabouts,
            puller: outbox::puller(&shared, &config)?,
            app_server: supervisor(&shared, &config)?,
            presence: Some(PresenceTeller::new(&shared.broker, &shared.metrics)),
            inheritance,
            hosts: shared.hosts,
            shares: room,
            hub: shared.hub,
            lifecycle: shared.lifecycle,
            authority: shared.authority,
            store,
            config,
            readiness,
            access,
            drain,
            internal_drain,
        })
    }

    /// Where it listens; port 0 has become a real one.
    pub fn addresses(&self) -> BoundAddresses {
        self.listeners.addresses()
    }

    /// What runs Django's server, if the gateway is to start one. `Some` only once.
    pub fn take_app_server(&mut self) -> Option<Supervisor> {
        self.app_server.take()
    }

    /// The access log, where there is one: for those who ask to reopen it.
    pub fn access_log(&self) -> Option<AccessLog> {
        self.access.as_ref().map(AccessWriter::log)
    }

    /// The local CA's certificate, where there is one: for those who shall trust it.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.store.as_ref()?.ca_file()
    }

    /// Serves until `shutdown` completes, then ends everything in order. Returns how many tasks did
    /// not end within `limits.drain_timeout` and were aborted.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> usize {
        let own = OwnAddresses::of(&self.config);
        if let Some(store) = &self.store {
            own.follow_certificate(store, &self.drain);
        }
        own.follow_hosts(&self.hosts, &self.drain);
        self.drain.watch().spawn(self.lifecycle.run());
        self.end_pauses();
        if let Some(presence) = self.presence.take() {
            let watch = self.drain.watch();
            watch.spawn(presence.run(watch.clone()));
        }
        let access_drain = self.write_access_log();
        // All listeners are bound, and each client that is answered from here on shall hear so.
        self.readiness.set_ready();
        self.serve();
        if let Some(puller) = self.puller.take() {
            let watch = self.drain.watch();
            watch.spawn(puller.run(watch.clone()));
        }
        shutdown.await;
        self.readiness.set_leaving();
        self.wait_for_balancers().await;
        tracing::info!(connections = self.hub.len(), "draining");
        let timeout = self.config.limits.drain_timeout;
        let spread = self.config.limits.drain_spread.min(timeout);
        let survivors = self.inheritance.survey();
        let (left, ()) = tokio::join!(self.drain.drain(timeout), self.hub.drain(spread));
        self.inheritance.leave(&survivors);
        if left > 0 {
            tracing::warn!(
                left,
                ?timeout,
                "`limits.drain_timeout` is over, what was left is cut off"
            );
        }
        self.internal_drain.drain(Duration::ZERO).await;
        access_drain.drain(LAST_LINES).await;
        drop(self.whereabouts);
        left
    }

    /// Starts what ends each pause in time.
    fn end_pauses(&self) {
        let (pause, watch) = (Arc::clone(&self.operations.pause), self.drain.watch());
        self.drain
            .watch()
            .spawn(async move { pause.run(watch).await });
    }

    /// Starts what writes the access log, which ends last.
    fn write_access_log(&mut self) -> Drain {
        let drain = Drain::new();
        if let Some(access) = self.access.take() {
            let watch = drain.watch();
            watch.spawn(access.run(watch.clone()));
        }
        drain
    }

    /// Gives those who ask about health the time to send traffic elsewhere.
    async fn wait_for_balancers(&self) {
        let delay = self.config.server.shutdown_delay;
        if !delay.is_zero() {
            tracing::info!(
                ?delay,
                "health and readiness say so; all goes on as before until then"
            );
            tokio::time::sleep(delay).await;
        }
    }

    /// Starts the accept loops.
    fn serve(&mut self) {
        let [limits, own] = limits::of_listeners(&self.config.limits, self.shares);
        let listeners = std::mem::take(&mut self.listeners);
        let plain = Arc::new(public::plain(&self.dispatch, &self.config));
        let check = public::health_check(&self.config, &self.readiness);
        let server = &self.config.server;
        let (proxies, introduced) = (&server.proxies, server.proxy_protocol);

        let watch = self.internal_drain.watch();
        let internal = Arc::new(Server::new(Arc::clone(&self.internal), own, watch.clone()));
        if let Some(listener) = listeners.internal {
            watch.spawn(internal.run_plain(listener));
        }

        let watch = self.drain.watch();
        watch.spawn(self.authority.run(watch.clone()));
        let dispatch = Checked::new(Arc::clone(&self.dispatch), check.clone());
        let public = Server::new(Arc::new(dispatch), limits, watch.clone());
        let public = Arc::new(public.behind(proxies, introduced));
        let plain = Checked::new(plain, check);
        let plain = Server::new(Arc::new(plain), limits, watch.clone()).sharing(&public);
        let plain = Arc::new(plain.behind(proxies, introduced));
        for listener in listeners.http {
            watch.spawn(Arc::clone(&plain).run_plain(listener));
        }
        for listener in listeners.https {
            if let Some(store) = &self.store {
                watch.spawn(Arc::clone(&public).run_tls(listener, Arc::clone(store)));
            }
        }
    }
}

fn inheritance(config: &Config, shared: &SharedParts) -> Inheritance {
    let leases = shared.authority.leases();
    Inheritance::accept(config, &shared.secrets, leases, &shared.naming)
}

fn supervisor(shared: &SharedParts, config: &Config) -> Result<Option<Supervisor>, StartError> {
    let Some(app_server) = &config.app_server else {
        return Ok(None);
    };
    let settings = SupervisorSettings {
        config: app_server.clone(),
        format: config.log.format,
        restarts: shared.metrics.app_restarts.clone(),
    };
    let supervisor = Supervisor::new(settings).map_err(StartError::AppServer)?;
    Ok(Some(supervisor))
}
