//! Keeps a publisher from drowning the clients that it publishes to.
//!
//! Used by `api` and `puller` after each publication. The surprise: without it a batch that is longer than an outbox
//! closes clients that read as fast as they can, because publishing a line takes less time than sending
//! one. A client that does not read is not waited for: it costs a bounded time and is closed.

use std::time::Duration;

use crate::broker::Receipt;

/// After this many lines the sockets' tasks get their turn.
const LINES_AT_ONCE: u32 = 32;

/// How long a crowded client may read before the next line. Half an outbox of frames takes less.
const PAUSE: Duration = Duration::from_millis(1);

/// At most this many pauses a call, whatever its clients do: half a second, where Django waits for a second.
const MOST_PAUSES: u32 = 250;

/// The pace of one call.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    lines: u32,
    pauses: u32,
}

impl Backpressure {
    /// Lets clients read, if need be, after a publication with this receipt.
    pub(super) async fn let_read(&mut self, receipt: Receipt) {
        self.lines += 1;
        if receipt.delivery.crowded && !receipt.duplicate && self.pauses < MOST_PAUSES {
            self.pauses += 1;
            tokio::time::sleep(PAUSE).await;
        } else if self.lines.is_multiple_of(LINES_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hub::Delivery;
    use crate::publication::Position;

    async fn time_of(lines: usize, crowded: bool, duplicate: bool) -> Duration {
        let start = Instant::now();
        let mut backpressure = Backpressure::default();
        for _ in 0..lines {
            let receipt = Receipt {
                position: Position {
                    generation: 1,
                    sequence: 1,
                },
                delivery: Delivery {
                    sockets: 1,
                    offline: 0,
                    crowded,
                },
                duplicate,
            };
            backpressure.let_read(receipt).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_sent_to_a_crowded_client_is_paced() {
        assert_eq!(time_of(1000, false, false).await, Duration::ZERO);
        assert_eq!(time_of(1000, true, true).await, Duration::ZERO);
        assert!(time_of(100, true, false).await >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_never_read_hold_a_batch_for_a_bounded_time() {
        assert!(time_of(50_000, true, false).await <= Duration::from_secs(1));
    }
}
