//! Waits for the head of an answer.
//!
//! Used by `forward`. While the request's body moves, the upstream is not late.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::pressure::{PATIENCE, Pressure};
use super::streamed::UploadProgress;

/// What comes of `answer` within the limit; presses while it does not come.
pub(super) async fn wait<F: Future>(
    mut answer: Pin<&mut F>,
    limit: Duration,
    progress: Option<&UploadProgress>,
    pressure: &Pressure,
) -> Option<F::Output> {
    let began = Instant::now();
    let mut left = limit;
    while !left.is_zero() {
        let waited = tokio::time::timeout(left.min(PATIENCE), answer.as_mut()).await;
        if let Ok(answered) = waited {
            return Some(answered);
        }
        if progress.is_none_or(UploadProgress::is_done) {
            pressure.press();
        }
        let last = progress.map_or(began, |progress| progress.last().max(began));
        left = limit.saturating_sub(last.elapsed());
    }
    None
}
