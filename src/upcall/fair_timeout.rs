//! A time limit for Django that a busy gateway does not shorten.
//!
//! Used for auth calls. The surprise: time is counted in ticks, each of which takes as long as the
//! gateway needs to get round to it. While ten thousand clients shake hands at once, an answer may lie
//! there for seconds before its turn comes: that is not Django's silence, and asking again would only
//! add to what is to be done (one core, 10,000 sockets: up to 20 calls in vain).

use std::pin::pin;
use std::time::Duration;

const TICKS: u32 = 20;
/// What else limits a call should be so many times as long.
pub(crate) const BACKSTOP: u32 = 8;

/// What comes of `future` within `limit`; `None` where it takes longer.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..TICKS {
        if let Ok(output) = tokio::time::timeout(limit / TICKS, &mut future).await {
            return Some(output);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn silence_lasts_as_long_as_the_limit() {
        let began = Instant::now();
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
        let took = began.elapsed();
        assert!(took >= LIMIT && took < LIMIT + LIMIT / 10, "{took:?}");
        assert_eq!(within(LIMIT, sleep(LIMIT / 2)).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_busy_for_longer_than_the_limit_takes_the_answer_all_the_same() {
        let answer = async {
            sleep(LIMIT / 4).await;
            // Whatever else the gateway does meanwhile holds the answer up.
            tokio::time::advance(3 * LIMIT).await;
            sleep(LIMIT / 4).await;
        };
        assert_eq!(within(LIMIT, answer).await, Some(()));
    }
}
