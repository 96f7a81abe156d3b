//! What connections may take of the hub.

use super::OutboxLimits;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// What waits for one client.
    pub outbox: OutboxLimits,
    /// `None`: any number.
    pub connections_per_user: Option<usize>,
    /// Topics that one connection listens to.
    pub topics_per_connection: usize,
}

impl HubLimits {
    /// None but those of outboxes.
    pub(super) fn of_outboxes(outbox: OutboxLimits) -> Self {
        Self {
            outbox,
            connections_per_user: None,
            topics_per_connection: usize::MAX,
        }
    }
}
