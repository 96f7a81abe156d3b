//! Idle connections to one upstream address, the newest first.
//!
//! Filled and emptied by `upstream`. The surprise: servers close idle connections after as little as
//! two seconds (gunicorn), and a request sent into the closing is lost, so ours are closed first. That
//! also bounds how many there are: the newest are used first, so those that a burst left behind expire.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::concurrency::MOST_UNDER_WAY;
use super::upstream_connection::UpstreamConnection;
use crate::net::drain::DrainWatch;

/// How long a connection is kept where the upstream does not say (`Keep-Alive: timeout=…`).
pub(super) const IDLE_LIMIT: Duration = Duration::from_millis(1500);
/// How long a connection whose answer has just ended may take to be ready again.
const SETTLE_LIMIT: Duration = Duration::from_millis(20);

/// The idle connections of one address. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    inner: Arc<Mutex<PoolInner>>,
}

#[derive(Debug, Default)]
struct PoolInner {
    idle: VecDeque<Idle>,
    reaped: bool,
}

#[derive(Debug)]
struct Idle {
    connection: UpstreamConnection,
    since: Instant,
    limit: Duration,
}

impl Pool {
    /// An idle connection that was used within `freshness` and is ready.
    pub(super) async fn take(&self, freshness: Duration) -> Option<UpstreamConnection> {
        loop {
            let mut idle = self.pop(freshness)?;
            if idle.sender.is_ready() {
                return Some(idle);
            }
            // The connection's task has not yet come round since the last answer ended.
            if let Ok(Ok(())) = tokio::time::timeout(SETTLE_LIMIT, idle.sender.ready()).await {
                return Some(idle);
            }
        }
    }

    fn pop(&self, freshness: Duration) -> Option<UpstreamConnection> {
        let mut inner = self.lock();
        while let Some(newest) = inner.idle.back() {
            let idle = newest.since.elapsed();
            if idle >= freshness {
                return None;
            }
            let newest = inner.idle.pop_back()?;
            if idle < newest.limit && !newest.connection.sender.is_closed() {
                return Some(newest.connection);
            }
        }
        None
    }

    /// Keeps a connection for `limit`.
    pub(super) fn give(&self, connection: UpstreamConnection, limit: Duration, drain: &DrainWatch) {
        if limit.is_zero() || drain.is_draining() || connection.sender.is_closed() {
            return;
        }
        let mut inner = self.lock();
        if inner.idle.len() >= MOST_UNDER_WAY {
            inner.idle.pop_front();
        }
        inner.idle.push_back(Idle {
            connection,
            since: Instant::now(),
            limit,
        });
        if !std::mem::replace(&mut inner.reaped, true) {
            drain.spawn(reap(self.clone(), drain.clone()));
        }
    }

    /// Drops what is too old; returns when to look again, or `None` where nothing is left.
    fn drop_expired(&self) -> Option<Duration> {
        let mut inner = self.lock();
        inner.idle.retain(|idle| {
            idle.since.elapsed() < idle.limit && !idle.connection.sender.is_closed()
        });
        inner.reaped = !inner.idle.is_empty();
        inner
            .idle
            .iter()
            .map(|idle| idle.limit.saturating_sub(idle.since.elapsed()))
            .min()
    }

    fn clear(&self) {
        let mut inner = self.lock();
        inner.idle.clear();
        inner.reaped = false;
    }

    fn lock(&self) -> MutexGuard<'_, PoolInner> {
        self.inner.lock()
    }
}

/// Closes connections as they expire; ends when none is left.
async fn reap(pool: Pool, drain: DrainWatch) {
    while let Some(pause) = pool.drop_expired() {
        tokio::select! {
            () = tokio::time::sleep(pause.max(Duration::from_millis(50))) => {}
            () = drain.draining() => return pool.clear(),
        }
    }
}
