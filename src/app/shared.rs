//! The parts that several others are made of.
//!
//! Made once by the composition root. The order matters, since the hub remembers as long as leases live
//! and the lifecycle asks through the authority.

use std::sync::Arc;
use std::time::Duration;

use super::addresses::OwnAddresses;
use super::error::StartError;
use super::sessions;
use super::upstreams::Upstreams;
use crate::admin::maintenance::Maintenance;
use crate::admin::operations::Operations;
use crate::admin::pause::Pause;
use crate::admin::reload::ReloadHandle;
use crate::broker::{Broker, HistoryLimits};
use crate::config::{Config, ConfigError, DeliveryConfig, Limits, SecretSource, secret_file};
use crate::files::open::OpenFiles;
use crate::hub::{Hub, HubLimits, OutboxLimits};
use crate::net::descriptors::DescriptorShares;
use crate::net::drain::DrainWatch;
use crate::net::per_address::PerAddress;
use crate::proxy::Encoders;
use crate::proxy::buffer::Buffering;
use crate::proxy::queue::RequestQueue;
use crate::publish::intake::Intake;
use crate::publish::relay::Relay;
use crate::publish::replays::Replays;
use crate::publish::wake::Wake;
use crate::secret::Secrets;
use crate::session::{
    AuthSettings, Authority, LeaseTerms, Lifecycle, LifecycleParts, LiveSessions, Naming,
};
use crate::socket::{ConnectionLimits, LoginThrottle, Visitors};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::Tracer;
use crate::web::allowed_names::AllowedNames;
use crate::web::hosts::Hosts;

/// What several parts are made of. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SharedParts {
    pub(super) secrets: Secrets,
    pub(super) hosts: Arc<Hosts>,
    pub(super) upstreams: Upstreams,
    pub(super) allowed: Arc<AllowedNames>,
    pub(super) hub: Arc<Hub>,
    pub(super) broker: Arc<Broker>,
    pub(super) intake: Arc<Intake>,
    pub(super) wake: Wake,
    pub(super) relay: Relay,
    pub(super) replays: Arc<Replays>,
    pub(super) naming: Arc<Naming>,
    pub(super) authority: Arc<Authority>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) buffering: Buffering,
    pub(super) encoders: Encoders,
    pub(super) queue: Option<RequestQueue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tracer: Tracer,
    pub(super) files: Arc<OpenFiles>,
    pub(super) operations: Operations,
    pub(super) places: SocketPlaces,
    pub(super) drain: DrainWatch,
}

/// Who has a place at a socket route, and who was turned away there.
#[derive(Clone, Debug)]
pub(super) struct SocketPlaces {
    pub(super) connections: Arc<PerAddress>,
    pub(super) visitors: Arc<PerAddress>,
    pub(super) throttle: Arc<LoginThrottle>,
}

/// Ends what runs, and asks for a reload.
pub(super) struct ProcessHandles {
    pub(super) drain: DrainWatch,
    pub(super) reloads: ReloadHandle,
}

impl SharedParts {
    pub(super) fn build(
        config: &Config,
        shares: DescriptorShares,
        handles: ProcessHandles,
    ) -> Result<Self, StartError> {
        let ProcessHandles { drain, reloads } = handles;
        let secrets = secrets(config)?;
        let metrics = Arc::new(Metrics::default());
        let tracer = Tracer::build(&config.otel, &metrics.spans);
        let naming = Arc::new(sessions::naming(config));
        let auth = sessions::auth_settings(config, &secrets, &naming, &tracer);
        let hub = Arc::new(hub(config, auth.terms));
        let authority = authority(&auth, &hub, &metrics)?;
        let lifecycle = Arc::new(lifecycle(config, &hub, &authority, &drain));
        let broker = Arc::new(broker(&config.delivery, &hub, &metrics));
        let allowed = Arc::default();
        let intake = intake(&config.delivery, &broker, &lifecycle, &metrics);
        let relay = Relay::default();
        Ok(Self {
            secrets,
            hosts: Arc::new(hosts(config, &allowed)),
            allowed,
            upstreams: Upstreams::first(config, &metrics, &drain),
            naming,
            authority,
            lifecycle,
            hub,
            broker,
            intake: Arc::new(intake.traced_by(tracer.clone()).relaying(relay.clone())),
            relay,
            wake: Wake::default(),
            replays: Arc::default(),
            buffering: Buffering::open(&config.buffering, &metrics.buffered)?,
            encoders: Encoders::default(),
            queue: RequestQueue::new(&config.django.queue, &metrics),
            operations: operations(config, &metrics, reloads),
            places: SocketPlaces::new(&config.limits, &metrics),
            metrics,
            tracer,
            files: Arc::new(OpenFiles::new(shares.files)),
            drain,
        })
    }

    /// What parts of the next configuration are made of: the same, but for what a configuration alone decides.
    pub(super) fn next(&self, now: &Config, next: &Config) -> Result<Self, ConfigError> {
        let has_same_names = sessions::cookie_names(now) == sessions::cookie_names(next);
        let naming = if has_same_names {
            Arc::clone(&self.naming)
        } else {
            Arc::new(sessions::naming(next).knowing(&self.naming))
        };
        let queue = RequestQueue::new(&next.django.queue, &self.metrics);
        let intake = intake(&next.delivery, &self.broker, &self.lifecycle, &self.metrics);
        Ok(Self {
            secrets: secrets(next)?,
            hosts: Arc::new(hosts(next, &self.allowed)),
            upstreams: self.upstreams.next(next, &self.metrics, &self.drain),
            intake: Arc::new(
                intake
                    .traced_by(self.tracer.clone())
                    .relaying(self.relay.clone()),
            ),
            naming,
            queue: queue.map(|new| self.queue.clone().unwrap_or(new)),
            ..self.clone()
        })
    }
}

impl SocketPlaces {
    fn new(limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        Self {
            connections: PerAddress::new(ConnectionLimits::places(limits)),
            visitors: PerAddress::new(Visitors::places(limits)),
            throttle: Arc::new(LoginThrottle::new(Arc::clone(metrics))),
        }
    }

    /// Keeps to other limits; who has a place keeps it.
    pub(super) fn adopt(&self, limits: &Limits) {
        self.connections.adopt(ConnectionLimits::places(limits));
        self.visitors.adopt(Visitors::places(limits));
    }
}

fn lifecycle(
    config: &Config,
    hub: &Arc<Hub>,
    authority: &Arc<Authority>,
    drain: &DrainWatch,
) -> Lifecycle {
    let parts = LifecycleParts {
        live: Arc::new(LiveSessions::new(Arc::clone(hub))),
        asker: Arc::clone(authority) as _,
        leases: Arc::clone(authority.leases()),
        hub: Arc::clone(hub),
        drain: drain.clone(),
    };
    Lifecycle::new(sessions::lifecycle_settings(config), parts)
}

fn intake(
    delivery: &DeliveryConfig,
    broker: &Arc<Broker>,
    lifecycle: &Arc<Lifecycle>,
    metrics: &Arc<Metrics>,
) -> Intake {
    let (broker, lifecycle) = (Arc::clone(broker), Arc::clone(lifecycle));
    Intake::new(delivery, broker, lifecycle, Arc::clone(metrics))
}

fn operations(config: &Config, metrics: &Metrics, reloads: ReloadHandle) -> Operations {
    Operations {
        reloads,
        maintenance: Arc::new(Maintenance::restore(config.state.maintenance(), metrics)),
        pause: Arc::new(Pause::new(metrics)),
    }
}

fn broker(delivery: &DeliveryConfig, hub: &Arc<Hub>, metrics: &Metrics) -> Broker {
    let broker = Broker::new(Arc::clone(hub), delivery.idempotency);
    broker.with_history(history_limits(delivery), metrics.history.clone())
}

/// How much is kept of what was published.
pub(super) fn history_limits(delivery: &DeliveryConfig) -> HistoryLimits {
    HistoryLimits {
        each: delivery.history,
        age: delivery.history_age,
        bytes: delivery.history_size,
    }
}

fn authority(
    settings: &AuthSettings,
    hub: &Arc<Hub>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Authority>, StartError> {
    let authority = Authority::build(settings, Arc::clone(hub), Arc::clone(metrics))?;
    Ok(Arc::new(authority))
}

fn secrets(config: &Config) -> Result<Secrets, ConfigError> {
    match &config.django.secret {
        SecretSource::Given(secrets) => Ok(secrets.clone()),
        SecretSource::DevelopmentFile(path) => secret_file::load_or_make(path),
    }
}

fn hosts(config: &Config, allowed: &Arc<AllowedNames>) -> Hosts {
    let own_addresses = OwnAddresses::of(config).now();
    Hosts::new(config.server.hosts.clone(), own_addresses)
        .redirecting(config.server.redirect_hosts.clone())
        .with_allowed(Arc::clone(allowed))
}

fn hub(config: &Config, terms: LeaseTerms) -> Hub {
    let limits = hub_limits(config);
    Hub::new(limits.outbox)
        .limited(limits)
        .with_topic_file(config.auth.topic_file.clone())
        .remembering(remembered(config, terms))
}

/// What connections may take.
pub(super) fn hub_limits(config: &Config) -> HubLimits {
    HubLimits {
        outbox: OutboxLimits {
            frames: config.delivery.outbox_frames,
            bytes: config.delivery.outbox_size,
        },
        connections_per_user: config.limits.connections_per_user,
        topics_per_connection: config.limits.topics_per_connection,
    }
}

/// How long revocations are remembered: as long as somebody may rely upon an older answer of Django's.
pub(super) fn remembered(config: &Config, terms: LeaseTerms) -> Duration {
    terms.longest().max(config.delivery.history_age)
}
