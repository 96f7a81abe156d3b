//! What goes on at an upstream without the client that asked for it.
//!
//! `detached` and `flow` hand it over, where an interceptor looks on. What goes on is bounded in number, so
//! that a client that sends and leaves, again and again, gets no further than it would by staying.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::net::drain::DrainWatch;
use crate::telemetry::span;

/// How much goes on so at once. Beyond it the connection is closed, as it is for upstreams that nobody looks
/// at.
const MOST_ABANDONED: usize = 256;

/// Goes on with what clients have left. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Abandoned(Arc<AbandonedInner>);

#[derive(Debug)]
struct AbandonedInner {
    limit: Duration,
    places: Arc<Semaphore>,
    drain: DrainWatch,
}

impl Abandoned {
    /// An upstream may take `limit` for an answer, and again between two parts of one.
    pub(super) fn new(limit: Duration, drain: DrainWatch) -> Self {
        Self(Arc::new(AbandonedInner {
            limit,
            places: Arc::new(Semaphore::new(MOST_ABANDONED)),
            drain,
        }))
    }

    /// How long an answer is waited for.
    pub(super) fn limit(&self) -> Duration {
        self.0.limit
    }

    /// Does the rest, unless there is too much of it.
    pub(super) fn go_on<F>(&self, rest: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if tokio::runtime::Handle::try_current().is_err() {
            // The runtime itself ends, and with it every answer.
            return;
        }
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            tracing::debug!("too many requests go on without a client");
            return;
        };
        let rest = async move {
            rest.await;
            drop(place);
        };
        self.0.drain.spawn(rest.instrument(span::current()));
    }
}
