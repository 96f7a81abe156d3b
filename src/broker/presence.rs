//! Tells those who are present at a topic how many they are.
//!
//! One task of the gateway. It waits a second after each round, whatever happened, so that each topic is told at most
//! once a second; and a round is one fan-out for each topic that changed.

use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use crate::net::drain::DrainWatch;
use crate::telemetry::metrics::Metrics;

/// Between two words about a topic.
const PAUSE: Duration = Duration::from_secs(1);

/// The task.
#[derive(Debug)]
pub struct PresenceTeller {
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
}

impl PresenceTeller {
    /// Tells in order with what this broker publishes.
    pub fn new(broker: &Arc<Broker>, metrics: &Arc<Metrics>) -> Self {
        Self {
            broker: Arc::clone(broker),
            metrics: Arc::clone(metrics),
        }
    }

    /// Tells until the gateway ends.
    pub async fn run(self, watch: DrainWatch) {
        tokio::select! {
            () = watch.draining() => {}
            () = self.publish_changes() => {}
        }
    }

    async fn publish_changes(&self) {
        let presence = self.broker.hub().presence();
        loop {
            presence.changed().await;
            for topic in presence.take_changed() {
                let told = self.broker.say_presence(&topic);
                self.metrics.presence.inc_by(u64::from(told > 0));
                let told = u64::try_from(told).unwrap_or(u64::MAX);
                self.metrics.frames.inc_by(told);
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
