//! What Django says, whichever way it came: decoded, counted, handed to the broker or the hub.
//!
//! Used by `api` for calls, by `piggyback` for what comes on responses, and by `puller` for what waits in Django's
//! transactional outbox.
//! Deciding is synchronous, so that a caller keeps the order of what it takes in; letting clients
//! read in between is the caller's part (see `backpressure`).

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::Either;

use super::json::DecodeError;
use super::publication::{self, Decoded};
use super::recheck::{self, Recheck};
use super::relay::{Relay, Relayed};
use super::revocation::{self, RevocationRequest};
use crate::broker::{Broker, Receipt};
use crate::config::DeliveryConfig;
use crate::hub::Hub;
use crate::publication::Publication;
use crate::session::Lifecycle;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::telemetry::otel::Tracer;

/// How many of what a revocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RevocationCount {
    Connections(usize),
    Subscriptions(usize),
}

/// Takes in publications and revocations.
#[derive(Debug)]
pub struct Intake {
    broker: Arc<Broker>,
    hub: Arc<Hub>,
    lifecycle: Arc<Lifecycle>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tracer: Tracer,
    /// The largest frame, in bytes: what an outbox takes.
    frame_size: usize,
    /// What another process is told.
    relay: Relay,
}

impl Intake {
    /// An intake in front of `broker`.
    pub fn new(
        delivery: &DeliveryConfig,
        broker: Arc<Broker>,
        lifecycle: Arc<Lifecycle>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            hub: Arc::clone(broker.hub()),
            broker,
            lifecycle,
            metrics,
            tracer: Tracer::default(),
            frame_size: delivery.outbox_size,
            relay: Relay::default(),
        }
    }

    /// Says what it takes in here too.
    #[must_use]
    pub fn relaying(self, relay: Relay) -> Self {
        Self { relay, ..self }
    }

    /// Takes in what another process did already.
    pub fn take_relayed(&self, item: Relayed) {
        match item {
            Relayed::Publication(id, sent) => {
                if let Some(publication) = sent.publication(Instant::now()) {
                    self.publish_here(&publication, id.as_deref());
                }
            }
            Relayed::Revocation(text) => drop(self.revoke_here(text.as_bytes())),
            Relayed::Recheck(text) => drop(self.recheck_here(text.as_bytes())),
            Relayed::Resync => self.resync_here(),
        }
    }

    /// Makes spans of what is published.
    #[must_use]
    pub fn traced_by(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Decodes a publication in the form of `POST /v1/publish`.
    pub(super) fn decode(&self, text: &[u8]) -> Result<Decoded, DecodeError> {
        publication::decode(text, self.frame_size, Instant::now())
    }

    /// Publishes, under the publication's own id or else the one that came along.
    pub(super) fn publish(&self, decoded: &Decoded, id: Option<&str>) -> Receipt {
        let id = decoded.id.as_deref().or(id);
        let receipt = self.publish_here(&decoded.publication, id);
        if !receipt.duplicate {
            self.relay.publication(&decoded.publication, id);
        }
        receipt
    }

    fn publish_here(&self, publication: &Publication, id: Option<&str>) -> Receipt {
        let receipt = self.broker.publish(publication, id);
        if !receipt.duplicate {
            self.metrics.publications.inc();
            self.count_frames(receipt.delivery.sockets);
        }
        receipt
    }

    /// Has every client fetch anew.
    pub(super) fn resync_everyone(&self) {
        self.resync_here();
        self.relay.resync();
    }

    fn resync_here(&self) {
        let said = self.broker.resync_everyone();
        self.count_frames(said);
    }

    /// Counted once a publication, not once a connection: this is the hot path.
    fn count_frames(&self, frames: usize) {
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        self.metrics.frames.inc_by(frames);
    }

    /// Carries out a revocation in the form of `POST /v1/revoke`.
    pub(super) fn revoke(&self, text: &[u8]) -> Result<RevocationCount, DecodeError> {
        let revoked = self.revoke_here(text)?;
        self.relay.order(text, Relayed::Revocation);
        Ok(revoked)
    }

    fn revoke_here(&self, text: &[u8]) -> Result<RevocationCount, DecodeError> {
        match revocation::decode(text)? {
            RevocationRequest::Connections { audience, reason } => {
                let closed = self.hub.close(&audience, &reason);
                let code = reason.code();
                tracing::info!(closed, code, "connections revoked");
                Ok(RevocationCount::Connections(closed))
            }
            RevocationRequest::Topic(revocation) => {
                // Not under the broker's lock: a disk may be slow.
                self.hub.keep(&revocation);
                let subscriptions = self.broker.revoke_topic(&revocation);
                let outcome = "revoked";
                let counted = &self.metrics.subscriptions;
                let counted = counted.get_or_create(&OutcomeLabel { outcome });
                counted.inc_by(u64::try_from(subscriptions).unwrap_or(u64::MAX));
                let topic = revocation.topic.as_str();
                tracing::info!(subscriptions, topic, "topic revoked");
                Ok(RevocationCount::Subscriptions(subscriptions))
            }
        }
    }

    /// Has Django asked again about users, a group or a session, in the form of `POST /v1/recheck`. Gives how many
    /// connections are closed for it; the caller does not wait for that.
    pub(super) fn recheck(
        &self,
        text: &[u8],
    ) -> Result<impl Future<Output = usize> + Send + use<>, DecodeError> {
        let closed = self.recheck_here(text)?;
        self.relay.order(text, Relayed::Recheck);
        Ok(closed)
    }

    fn recheck_here(
        &self,
        text: &[u8],
    ) -> Result<impl Future<Output = usize> + Send + use<>, DecodeError> {
        Ok(match recheck::decode(text)? {
            Recheck::All(audiences) => Either::Left(self.lifecycle.recheck_all(&audiences)),
            Recheck::Session(session) => Either::Right(self.lifecycle.recheck_session(&session)),
        })
    }
}
