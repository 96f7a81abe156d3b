//! Whether requests wait for an upstream in vain.
//!
//! `forward` presses while a request waits, `store` feels it where an answer holds the upstream for
//! want of room. Without a waiting request no answer is pressed, however long it lasts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a request waits before it presses, and between two times.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// How long it is felt.
const LASTS: Duration = Duration::from_secs(1);

/// The requests that wait for one upstream, as those feel it that hold it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pressure {
    shared: Arc<PressureInner>,
}

#[derive(Debug, Default)]
struct PressureInner {
    last: Mutex<Option<Instant>>,
    pressed: Notify,
}

impl Pressure {
    /// A request has waited for long.
    pub(super) fn press(&self) {
        *self.shared.last.lock() = Some(Instant::now());
        self.shared.pressed.notify_waiters();
    }

    /// Presses while this lasts too long.
    pub(super) async fn during<F: Future>(&self, waiting: F) -> F::Output {
        let mut waiting = pin!(waiting);
        loop {
            match tokio::time::timeout(PATIENCE, waiting.as_mut()).await {
                Ok(output) => return output,
                Err(_) => self.press(),
            }
        }
    }

    /// Completes while requests wait.
    pub(super) async fn felt(&self) {
        loop {
            // Made before the look, so that nothing is missed in between.
            let pressed = self.shared.pressed.notified();
            let last = *self.shared.last.lock();
            if last.is_some_and(|last| last.elapsed() < LASTS) {
                return;
            }
            pressed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, poll_immediate};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_long_is_felt_and_nobody_else() {
        let pressure = Pressure::default();
        pressure.during(tokio::time::sleep(PATIENCE / 2)).await;
        assert!(poll_immediate(pin!(pressure.felt())).await.is_none());
        let began = Instant::now();
        let waiting = pressure.during(tokio::time::sleep(PATIENCE * 8));
        let felt = async {
            pressure.felt().await;
            began.elapsed()
        };
        let ((), felt) = join(waiting, felt).await;
        assert_eq!(felt.as_millis(), PATIENCE.as_millis());
        tokio::time::sleep(LASTS).await;
        assert!(poll_immediate(pin!(pressure.felt())).await.is_none());
    }
}
