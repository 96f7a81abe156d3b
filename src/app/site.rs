//! What one configuration makes, and a reload replaces as a whole.
//!
//! Built by the composition root at the start and at each reload, before anything is changed: what cannot be built
//! changes nothing. What lives on meanwhile (connections, sessions, leases, history) is in [`SharedParts`].

use std::sync::Arc;
use std::time::Duration;

use super::addresses::OwnAddresses;
use super::certificates;
use super::error::StartError;
use super::internal;
use super::listeners::Listeners;
use super::outbox;
use super::public;
use super::shared::SharedParts;
use super::surroundings::Surroundings;
use crate::acme::HostsView;
use crate::admin::health::Readiness;
use crate::config::Config;
use crate::net::drain::Drain;
use crate::publish::puller::Puller;
use crate::server::dispatch::Dispatch;
use crate::server::internal::Internal;
use crate::tls::store::CertificateStore;

/// For what a site did in the background to come to its end.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// What one configuration makes.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) config: Config,
    pub(super) shared: SharedParts,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) internal: Arc<Internal>,
    pub(super) store: Option<Arc<CertificateStore>>,
    pub(super) readiness: Readiness,
    puller: Option<Puller>,
    hosts_view: Option<HostsView>,
    tasks: Drain,
}

/// What a site is reached at, and by which certificate.
pub(super) struct Reached<'a> {
    /// What is bound, and is to be.
    pub(super) listeners: [&'a Listeners; 2],
    pub(super) store: Option<Arc<CertificateStore>>,
}

impl Site {
    /// Makes all of it; changes nothing.
    pub(super) fn build(
        config: Config,
        shared: SharedParts,
        surroundings: &Surroundings,
        reached: Reached<'_>,
    ) -> Result<Self, StartError> {
        let [bound, further] = reached.listeners;
        let port = bound.https_port(further, &config.server);
        let redirect = public::redirect(config.mode, port, &shared.hosts);
        let dispatch = public::dispatch(&shared, &config, redirect, surroundings.access.clone());
        let mut internal = internal::internal(&shared, &config, surroundings);
        internal.health = internal.health.with_certificates(reached.store.clone());
        Ok(Self {
            puller: outbox::puller(&shared, &config)?,
            hosts_view: certificates::hosts_view(&shared, &config)?,
            dispatch: Arc::new(dispatch),
            internal: Arc::new(internal),
            store: reached.store,
            readiness: surroundings.readiness.clone(),
            tasks: Drain::new(),
            config,
            shared,
        })
    }

    /// Does in the background what is to be done while it is in force.
    pub(super) fn start(&mut self) {
        let own = OwnAddresses::of(&self.config);
        if let Some(store) = &self.store {
            own.follow_certificate(store, &self.tasks);
            if let Some(keeper) = certificates::keeper(&self.shared, &self.config, store) {
                let (watch, view) = (self.tasks.watch(), self.hosts_view.take());
                watch.spawn(keeper.run(view, watch.clone()));
            }
        }
        own.follow_hosts(&self.shared.hosts, &self.tasks);
        if let Some(puller) = self.puller.take() {
            let watch = self.tasks.watch();
            watch.spawn(puller.run(watch.clone()));
        }
    }

    /// Stops that for a while.
    pub(super) async fn rest(&mut self) {
        std::mem::take(&mut self.tasks).drain(LAST_STEPS).await;
    }

    /// Goes on with it.
    pub(super) fn go_on(&mut self) {
        // It was made of the same before.
        self.puller = outbox::puller(&self.shared, &self.config).unwrap_or_default();
        self.start();
    }

    /// Stops that. Requests that it took are answered to their end.
    pub(super) async fn end(self) {
        self.tasks.drain(LAST_STEPS).await;
    }
}
