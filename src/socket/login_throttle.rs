//! Slows down a client that comes back again and again although it was told to log in (4001).
//!
//! Used by the handshake when it turns a client away. A client is its address together with its
//! browser and its session cookie, so that no client waits for a neighbour behind the same address;
//! one that changes these on purpose meets the limits of its address instead.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Socket;
use crate::net::backoff::ExponentialBackoff;
use crate::net::drain::DrainWatch;
use crate::net::hashed_slots::HashedSlots;
use crate::telemetry::metrics::Metrics;

/// 32 KiB.
const SLOTS: usize = 4 * 1024;
/// How many are turned away without a delay: tabs that were opened together, some pages read without a login.
const FREE: u32 = 5;
/// How long it takes until one time is forgiven.
const FORGIVEN_MS: u64 = 10_000;
/// How long it waits from then on.
const WAITS: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_millis(250),
    max: Duration::from_secs(4),
    jitter: 0.0,
};
/// Times beyond which nothing changes.
const MOST: u64 = 10;
/// How many wait at most: each costs as much as a connection.
const HELD: usize = 1000;

/// Remembers which clients were turned away.
#[derive(Debug)]
pub struct LoginThrottle {
    /// Times in the low byte, and the millisecond from which the next one is forgiven in the rest.
    slots: HashedSlots,
    began: Instant,
    places: Semaphore,
    metrics: Arc<Metrics>,
}

impl LoginThrottle {
    /// No client was turned away yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            slots: HashedSlots::new(SLOTS),
            began: Instant::now(),
            places: Semaphore::new(HELD),
            metrics,
        }
    }

    /// How long a client that is turned away now must wait for its close.
    pub(super) fn delay(&self, client: impl Hash) -> Duration {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 8);
        let next = |slot| Some(once_more(slot, now));
        let slot = self.slots.of(client);
        let before = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        wait_of(times(once_more(before.unwrap_or_default(), now)))
    }

    /// Keeps a client waiting, until it leaves or the gateway goes away. Where too many wait
    /// already, it does not.
    pub(super) async fn hold(&self, socket: &mut Socket, delay: Duration, drain: &DrainWatch) {
        self.wait(delay, drain, gone(socket)).await;
    }

    /// Keeps a request waiting in the same way, which is dropped where its client leaves.
    pub(super) async fn hold_request(&self, delay: Duration, drain: &DrainWatch) {
        self.wait(delay, drain, std::future::pending()).await;
    }

    async fn wait(&self, delay: Duration, drain: &DrainWatch, left: impl Future<Output = ()>) {
        if delay.is_zero() {
            return;
        }
        let Ok(_place) = self.places.try_acquire() else {
            return;
        };
        self.metrics.slowed.inc();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = drain.draining() => {}
            () = left => {}
        }
    }
}

/// What the client says meanwhile is thrown away, and not even read where it says much.
async fn gone(socket: &mut Socket) {
    while let Some(Ok(_)) = socket.next().await {}
    if socket.get_ref().is_spent() {
        std::future::pending::<()>().await;
    }
}

fn times(slot: u64) -> u32 {
    u32::from(slot.to_le_bytes()[0])
}

/// A slot after one time more.
fn once_more(slot: u64, now: u64) -> u64 {
    let (since, times) = (slot >> 8, slot & 0xff);
    let forgiven = now.saturating_sub(since) / FORGIVEN_MS;
    let left = times.saturating_sub(forgiven);
    let since = if left == 0 {
        now
    } else {
        since + forgiven * FORGIVEN_MS
    };
    since << 8 | (left + 1).min(MOST)
}

fn wait_of(times: u32) -> Duration {
    WAITS.pause(times.saturating_sub(FREE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(slot: &mut u64, moments: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let each = moments.into_iter().map(|now| {
            *slot = once_more(*slot, now);
            wait_of(times(*slot)).as_millis()
        });
        each.collect()
    }

    #[test]
    fn a_client_that_loops_waits_longer_and_longer() {
        let seen = waits(&mut 0, (0..14).map(|n| 1000 + n));
        let expected = [
            0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_client_that_comes_now_and_then_never_waits() {
        let pages = (0..200).map(|n| n * FORGIVEN_MS);
        assert!(waits(&mut 0, pages).iter().all(|wait| *wait == 0));
    }

    #[test]
    fn it_is_forgiven_while_the_client_stays_away() {
        let mut slot = 0;
        waits(&mut slot, [0; 20]);
        assert_eq!(waits(&mut slot, [2 * FORGIVEN_MS]), [2000]);
        assert_eq!(waits(&mut slot, [20 * FORGIVEN_MS]), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_waits_for_itself() {
        let throttle = LoginThrottle::new(Arc::default());
        for _ in 0..20 {
            throttle.delay(("192.0.2.1", "a"));
        }
        assert!(!throttle.delay(("192.0.2.1", "a")).is_zero());
        assert!(throttle.delay(("192.0.2.1", "b")).is_zero());
        assert!(throttle.delay(("192.0.2.2", "a")).is_zero());
    }
}
