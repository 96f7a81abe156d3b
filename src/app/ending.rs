//! The end of a gateway, in order: for good, or because another process is in its place.
//!
//! Done by [`Gateway::run`](super::Gateway::run) as the last thing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::spawn_blocking;

use super::inheritance::Inheritance;
use super::site::Site;
use super::surroundings::Surroundings;
use super::upgrade::Heir;
use super::whereabouts::Whereabouts;
use crate::net::drain::Drain;
use crate::telemetry::otel::Tracer;

/// How long the last lines of the access log may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long the other process may take to hear the last of this one.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the last spans may take to a collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// What is to end.
pub(super) struct GatewayEnd {
    pub(super) surroundings: Surroundings,
    pub(super) site: Site,
    pub(super) whereabouts: Option<Whereabouts>,
    pub(super) drain: Drain,
    pub(super) internal_drain: Drain,
    pub(super) access_drain: Drain,
}

impl GatewayEnd {
    /// Ends everything, now that another process serves: who is under way is answered, sockets come back to that one. Until
    /// the last has gone each tells the other what concerns its clients.
    pub(super) async fn leave_to(self, heir: Heir) -> usize {
        let (pid, hub) = (heir.pid, Arc::clone(&self.site.shared.hub));
        tracing::info!(
            pid,
            connections = hub.len(),
            "the new process serves, this one leaves"
        );
        let relay = self.site.shared.relay.clone();
        let mut link = std::pin::pin!(heir.link.run().fuse());
        let mut leaving = std::pin::pin!(self.leave());
        let left = tokio::select! {
            left = &mut leaving => left,
            () = &mut link => leaving.await,
        };
        // What the last answers had with them.
        relay.end();
        let _ = tokio::time::timeout(LAST_WORDS, link).await;
        left
    }

    async fn leave(self) -> usize {
        self.drain.leave();
        self.internal_drain.leave();
        let Site { config, shared, .. } = &self.site;
        let timeout = config.limits.drain_timeout;
        let spread = config.limits.drain_spread.min(timeout);
        let window = tokio::time::sleep(spread);
        tokio::join!(shared.hub.drain(spread, Duration::ZERO), window);
        let rest = timeout.saturating_sub(spread);
        // Once more, for sockets that were opened meanwhile.
        let last = shared.hub.drain(Duration::ZERO, Duration::ZERO);
        let (left, ()) = tokio::join!(self.drain.drain(rest), last);
        say_cut_off(left, timeout);
        self.internal_drain.drain(Duration::ZERO).await;
        self.access_drain.drain(LAST_LINES).await;
        send_last_spans(shared.tracer.clone()).await;
        left
    }

    /// Ends everything in order.
    pub(super) async fn end(self) -> usize {
        self.surroundings.readiness.set_leaving();
        let Site { config, shared, .. } = &self.site;
        wait_for_balancers(config.server.shutdown_delay).await;
        tracing::info!(connections = shared.hub.len(), "draining");
        let timeout = config.limits.drain_timeout;
        let spread = config.limits.drain_spread.min(timeout);
        let tracer = shared.tracer.clone();
        let inheritance = Inheritance::of(config, shared);
        let survivors = inheritance.survey();
        let hub = Arc::clone(&shared.hub);
        let (left, (), ()) = tokio::join!(
            self.drain.drain(timeout),
            hub.drain(spread, spread),
            self.site.end()
        );
        inheritance.leave(&survivors);
        say_cut_off(left, timeout);
        self.internal_drain.drain(Duration::ZERO).await;
        self.access_drain.drain(LAST_LINES).await;
        send_last_spans(tracer).await;
        drop(self.whereabouts);
        left
    }
}

fn say_cut_off(left: usize, timeout: Duration) {
    if left > 0 {
        tracing::warn!(
            left,
            ?timeout,
            "`limits.drain_timeout` is over, what was left is cut off"
        );
    }
}

/// The task that waits for it is not of a drain: those have ended.
async fn send_last_spans(tracer: Tracer) {
    if tracer.is_on() {
        // It fails where it panics, and then the panic is logged.
        let _ = spawn_blocking(move || tracer.end(LAST_SPANS)).await;
    }
}

/// Gives those who ask about health the time to send traffic elsewhere.
async fn wait_for_balancers(delay: Duration) {
    if !delay.is_zero() {
        tracing::info!(
            ?delay,
            "health and readiness say so; all goes on as before until then"
        );
        tokio::time::sleep(delay).await;
    }
}
