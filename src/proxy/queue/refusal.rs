//! What a request gets when there is no place for it.

use std::time::Duration;

use http::StatusCode;

use crate::web::problem::{Problem, ToProblem};

/// When to try again, in seconds.
const RETRY_AFTER: u32 = 5;

/// There is no place for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueRefusal {
    /// Too many wait already.
    #[error("too many requests wait for the server")]
    Full,
    /// It waited for too long.
    #[error("the request waited for the server for {0:?}")]
    TimedOut(Duration),
}

impl ToProblem for QueueRefusal {
    fn to_problem(&self) -> Problem {
        let (code, hint) = match self {
            Self::Full => (
                "queue_full",
                "`queue` of [django] in gateway.toml says how many may wait",
            ),
            Self::TimedOut(_) => (
                "queue_timeout",
                "`queue_timeout` of [django] in gateway.toml says how long a request waits, and `concurrency` for what",
            ),
        };
        let detail = "The server has too much to do right now. Please try again in a moment.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_hint(hint)
            .retry_after(RETRY_AFTER)
    }
}
