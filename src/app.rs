//! The composition root: the only place that constructs the parts and wires them.
//!
//! Called by `cli`, and by the integration tests. What a reload replaces is a `Site`; the rest lives as long as
//! the process. The internal listener has a drain of its own, because health and publishing stay up until the last
//! socket is closed.

mod addresses;
mod ca_page;
mod certificates;
mod ending;
mod error;
mod inheritance;
mod internal;
mod limits;
mod listeners;
mod named_sockets;
mod open_listener;
mod outbox;
mod public;
mod reload;
mod routes;
mod servers;
mod sessions;
mod shared;
mod site;
mod succession;
mod surroundings;
mod upgrade;
mod upstreams;
mod watch;
mod whereabouts;

use std::path::PathBuf;
use std::sync::Arc;

use crate::admin::reload::{ReloadHandle, ReloadRequests};
use crate::app_server::{Supervisor, SupervisorSettings};
use crate::broker::PresenceTeller;
use crate::config::Config;
use crate::net::drain::Drain;
use crate::net::listener::ListenError;
use crate::net::passed::PassedSocket;
use crate::publish::operator::ReloadRefusal;
use crate::server::access::{AccessLog, AccessWriter};
use crate::setting::Setting;
pub use ca_page::CaPageServer;
pub use certificates::make_certificates;
use ending::GatewayEnd;
pub use error::StartError;
use inheritance::Inheritance;
pub use listeners::BoundAddresses;
use listeners::{Listeners, OpenSockets};
use named_sockets::NamedSockets;
pub use reload::ConfigSource;
use servers::Servers;
use shared::{ProcessHandles, SharedParts};
use site::{Reached, Site};
use succession::Succession;
use surroundings::Surroundings;
use upgrade::{Attempt, UpgradeParts, WaitingPredecessor};
pub use upgrade::{LastWords, Predecessor, Program, UpgradeHandle};
use watch::FileWatch;
use whereabouts::Whereabouts;

/// A gateway whose listeners are bound.
#[derive(Debug)]
pub struct Gateway {
    source: Option<ConfigSource>,
    site: Site,
    listeners: Listeners,
    servers: Servers,
    surroundings: Surroundings,
    reloads: ReloadRequests,
    upgrade: UpgradeParts,
    watching: Arc<Setting<bool>>,
    presence: Option<PresenceTeller>,
    access: Option<AccessWriter>,
    app_server: Option<Supervisor>,
    whereabouts: Option<Whereabouts>,
    drain: Drain,
    internal_drain: Drain,
}

impl Gateway {
    /// Makes every part and binds every listener. Must be called within a runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        Self::bind_with(config, Vec::new())
    }

    /// The same, but takes what systemd passes in place of binding it.
    pub fn bind_with(config: Config, passed: Vec<PassedSocket>) -> Result<Self, StartError> {
        let inherited = Vec::new();
        Self::bind_all(config, OpenSockets { passed, inherited })
    }

    /// The same in the place of the gateway before, when that is ready for it.
    pub async fn bind_after(config: Config, before: Predecessor) -> Result<Self, StartError> {
        let begun = before.begin().await.map_err(StartError::Predecessor)?;
        let mut gateway = Self::bind_all(config, OpenSockets::of(begun.sockets))?;
        let shared = &gateway.site.shared;
        begun.broker.inherit_to(&shared.broker);
        gateway.upgrade.predecessor = Some(WaitingPredecessor {
            channel: begun.channel,
            items: shared.relay.begin(),
        });
        Ok(gateway)
    }

    fn bind_all(mut config: Config, open: OpenSockets) -> Result<Self, StartError> {
        let named = NamedSockets::among(&open.passed, &config.server).map_err(ListenError::from)?;
        named.put_into(&mut config.server);
        let (drain, internal_drain) = (Drain::new(), Drain::new());
        let reloads = ReloadRequests::new();
        let room = limits::share(&config);
        let handles = ProcessHandles {
            drain: drain.watch(),
            reloads: reloads.handle(),
        };
        let shared = SharedParts::build(&config, room, handles)?;
        let store = certificates::load(&shared, &config, &certificates::names(&config))?;
        let listeners = Listeners::bind(&config.server, open)?;
        let whereabouts = Whereabouts::write(&config.state, &listeners, &config.server);
        let access = public::access(&shared, &config)?;
        let log = access.as_ref().map(AccessWriter::log);
        let surroundings = Surroundings::new(named, whereabouts.as_ref(), log);
        let app_server = supervisor(&shared, &config)?;
        Inheritance::of(&config, &shared).accept(&config);
        let reached = Reached {
            listeners: [&listeners, &Listeners::default()],
            store,
        };
        let site = Site::build(config, shared, &surroundings, reached)?;
        let shared = &site.shared;
        Ok(Self {
            source: None,
            watching: Arc::new(Setting::new(site.config.server.watch)),
            presence: Some(PresenceTeller::new(&shared.broker, &shared.metrics)),
            servers: Servers::new(&site, room, [&drain, &internal_drain]),
            site,
            listeners,
            surroundings,
            reloads,
            upgrade: UpgradeParts::default(),
            access,
            app_server,
            whereabouts,
            drain,
            internal_drain,
        })
    }

    /// Reads its configuration from here again, when it is asked to or, with `server.watch`, when the file changes.
    #[must_use]
    pub fn reloading_from(self, source: ConfigSource) -> Self {
        let source = Some(source);
        Self { source, ..self }
    }

    /// Starts this program where another is to take this one's place.
    #[must_use]
    pub fn upgrading_to(mut self, program: Program) -> Self {
        self.upgrade.program = Some(program);
        self
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
        self.surroundings.access.clone()
    }

    /// Asks it to read its configuration again.
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reloads.handle()
    }

    /// Asks for a new program in this one's place.
    pub fn upgrade_handle(&self) -> UpgradeHandle {
        self.upgrade.requests.handle()
    }

    /// The local CA's certificate, where there is one: for those who shall trust it.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.site.store.as_ref()?.ca_file()
    }

    /// Serves until `shutdown` completes, then ends everything in order. Returns how many tasks did
    /// not end within `limits.drain_timeout` and were aborted.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> usize {
        let access_drain = self.start();
        // All listeners are bound, and each client that is answered from here on shall hear so.
        self.surroundings.readiness.set_ready();
        self.servers.serve(&mut self.listeners, &self.site);
        self.site.start();
        if let Some(predecessor) = self.upgrade.predecessor.take() {
            let link = predecessor.serving(&self.site.shared).await;
            let watch = self.drain.watch();
            self.drain.watch().spawn(link.run_until(watch));
        }
        let mut shutdown = std::pin::pin!(shutdown);
        let mut attempt = Attempt::default();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                ready = attempt.outcome() => tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    taken = self.succession().hand_over(ready) => if let Some(heir) = taken {
                        self.upgrade.requests.taken_over(heir.pid);
                        self.listeners.let_go();
                        return self.ending(access_drain).leave_to(heir).await;
                    },
                },
                () = self.upgrade.requests.next() => {
                    let program = self.upgrade.program.clone();
                    self.succession().begin(program.as_ref(), &mut attempt);
                }
                request = self.reloads.next() => request.answer(if attempt.is_under_way() {
                    Err(ReloadRefusal::Upgrading)
                } else {
                    self.reload().await
                }),
            }
        }
        self.ending(access_drain).end().await
    }

    fn succession(&mut self) -> Succession<'_> {
        Succession {
            site: &mut self.site,
            listeners: &self.listeners,
            whereabouts: self.whereabouts.as_ref(),
        }
    }

    fn ending(self, access_drain: Drain) -> GatewayEnd {
        GatewayEnd {
            surroundings: self.surroundings,
            site: self.site,
            whereabouts: self.whereabouts,
            drain: self.drain,
            internal_drain: self.internal_drain,
            access_drain,
        }
    }

    /// Starts what does not serve clients. Returns what ends the access log, which ends last.
    fn start(&mut self) -> Drain {
        let (watch, shared) = (self.drain.watch(), &self.site.shared);
        watch.spawn(shared.lifecycle.run());
        watch.spawn(shared.authority.run(watch.clone()));
        let (pause, draining) = (Arc::clone(&shared.operations.pause), watch.clone());
        watch.spawn(async move { pause.run(draining).await });
        if let Some(presence) = self.presence.take() {
            watch.spawn(presence.run(watch.clone()));
        }
        if let Some(source) = &self.source {
            let file_watch = FileWatch {
                file: source.file().clone(),
                is_on: Arc::clone(&self.watching),
                reloads: self.reloads.handle(),
            };
            watch.spawn(file_watch.run(watch.clone()));
        }
        let drain = Drain::new();
        if let Some(access) = self.access.take() {
            let watch = drain.watch();
            watch.spawn(access.run(watch.clone()));
        }
        drain
    }
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
