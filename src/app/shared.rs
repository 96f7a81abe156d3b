//! The parts that several others are made of.
//!
//! Made once by the composition root. The surprise: the order matters, since the hub remembers as long as
//! leases live and the lifecycle asks through the authority.

use std::net::IpAddr;
use std::sync::Arc;

use super::error::StartError;
use super::sessions;
use crate::admin::maintenance::Maintenance;
use crate::admin::operations::Operations;
use crate::admin::pause::Pause;
use crate::broker::{Broker, HistoryLimits};
use crate::config::{Config, ConfigError, DeliveryConfig, SecretSource, ServerConfig, secret_file};
use crate::files::open::OpenFiles;
use crate::hub::{Hub, OutboxLimits};
use crate::net::descriptors::DescriptorShares;
use crate::net::drain::DrainWatch;
use crate::proxy::Encoders;
use crate::proxy::buffer::Buffering;
use crate::proxy::queue::RequestQueue;
use crate::publish::intake::Intake;
use crate::publish::wake::Wake;
use crate::secret::Secrets;
use crate::session::{
    AuthSettings, Authority, LeaseTerms, Lifecycle, LifecycleParts, LiveSessions, Naming,
};
use crate::telemetry::metrics::Metrics;
use crate::web::hosts::Hosts;

/// What several parts are made of.
pub(super) struct SharedParts {
    pub(super) secrets: Secrets,
    pub(super) hosts: Arc<Hosts>,
    pub(super) hub: Arc<Hub>,
    pub(super) broker: Arc<Broker>,
    pub(super) intake: Arc<Intake>,
    pub(super) wake: Wake,
    pub(super) naming: Arc<Naming>,
    pub(super) authority: Arc<Authority>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) buffering: Buffering,
    pub(super) encoders: Encoders,
    pub(super) queue: Option<RequestQueue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) files: Arc<OpenFiles>,
    pub(super) operations: Operations,
    pub(super) drain: DrainWatch,
}

impl SharedParts {
    pub(super) fn build(
        config: &Config,
        own_addresses: Vec<IpAddr>,
        shares: DescriptorShares,
        drain: DrainWatch,
    ) -> Result<Self, StartError> {
        let secrets = secrets(config)?;
        let metrics = Arc::new(Metrics::default());
        let naming = Arc::new(sessions::naming(config));
        let auth = sessions::auth_settings(config, &secrets, &naming);
        let hub = Arc::new(hub(config, auth.terms));
        let authority = authority(&auth, &hub, &metrics)?;
        let parts = LifecycleParts {
            live: Arc::new(LiveSessions::new(Arc::clone(&hub))),
            asker: Arc::clone(&authority) as _,
            leases: Arc::clone(authority.leases()),
            hub: Arc::clone(&hub),
            secrets: secrets.clone(),
            drain: drain.clone(),
        };
        let settings = sessions::lifecycle_settings(config);
        let lifecycle = Arc::new(Lifecycle::new(settings, parts));
        let broker = Arc::new(broker(&config.delivery, &hub, &metrics));
        let intake = intake(config, &broker, &lifecycle, &metrics);
        Ok(Self {
            secrets,
            hosts: Arc::new(hosts(&config.server, own_addresses)),
            naming,
            authority,
            lifecycle,
            hub,
            broker,
            intake,
            wake: Wake::default(),
            buffering: Buffering::open(&config.buffering, &metrics.buffered)?,
            encoders: Encoders::default(),
            queue: RequestQueue::new(&config.django.queue, &metrics),
            operations: operations(config, &metrics),
            metrics,
            files: Arc::new(OpenFiles::new(shares.files)),
            drain,
        })
    }
}

fn intake(
    config: &Config,
    broker: &Arc<Broker>,
    lifecycle: &Arc<Lifecycle>,
    metrics: &Arc<Metrics>,
) -> Arc<Intake> {
    let (broker, lifecycle) = (Arc::clone(broker), Arc::clone(lifecycle));
    let metrics = Arc::clone(metrics);
    Arc::new(Intake::new(&config.delivery, broker, lifecycle, metrics))
}

fn operations(config: &Config, metrics: &Metrics) -> Operations {
    Operations {
        maintenance: Arc::new(Maintenance::restore(config.state.maintenance(), metrics)),
        pause: Arc::new(Pause::new(metrics)),
    }
}

fn broker(delivery: &DeliveryConfig, hub: &Arc<Hub>, metrics: &Metrics) -> Broker {
    let limits = HistoryLimits {
        each: delivery.history,
        age: delivery.history_age,
        bytes: delivery.history_size,
    };
    let broker = Broker::new(Arc::clone(hub), delivery.idempotency);
    broker.with_history(limits, metrics.history.clone())
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

fn hosts(server: &ServerConfig, own_addresses: Vec<IpAddr>) -> Hosts {
    Hosts::new(server.hosts.clone(), own_addresses).redirecting(server.redirect_hosts.clone())
}

fn hub(config: &Config, terms: LeaseTerms) -> Hub {
    let outbox = OutboxLimits {
        frames: config.delivery.outbox_frames,
        bytes: config.delivery.outbox_size,
    };
    Hub::new(outbox)
        .with_connections_per_user(config.limits.connections_per_user)
        .with_topics_per_connection(config.limits.topics_per_connection)
        .with_topic_file(config.auth.topic_file.clone())
        .remembering(terms.longest().max(config.delivery.history_age))
}
