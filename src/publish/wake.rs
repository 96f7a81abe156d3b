//! `POST /v1/wake`: Django says that its transactional outbox has something new.
//!
//! `api` wakes, the puller waits. Wakes are not counted. One that comes while the puller is at work is
//! kept, many are kept as one.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the puller. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Makes the puller look, now or as soon as it has done what it is doing.
    pub(super) fn wake(&self) {
        self.0.notify_one();
    }

    /// Completes when somebody has woken since it last completed.
    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}
