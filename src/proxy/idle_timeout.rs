//! Ends a body of which no more comes.
//!
//! Used around bodies in both directions, by `flow` and `streamed`. Time counts only while the next
//! part is waited for, so a body that is not read is never late.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Measures how long the next part of a body is waited for.
#[derive(Debug, Default)]
pub(super) struct IdleTimeout(Option<Box<Wait>>);

#[derive(Debug)]
struct Wait {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl IdleTimeout {
    /// Nothing has come: ready once that has been so for `limit`.
    pub(super) fn poll_idle(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let wait = self.0.get_or_insert_with(|| {
            Box::new(Wait {
                since: Instant::now(),
                timer: Box::pin(tokio::time::sleep(limit)),
            })
        });
        wait.timer.as_mut().poll(context)
    }

    /// A part came. Returns how long it was waited for.
    pub(super) fn reset(&mut self) -> Duration {
        self.0
            .take()
            .map_or(Duration::ZERO, |wait| wait.since.elapsed())
    }
}
