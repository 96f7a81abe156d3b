//! Shows an answer's head to the interceptor, and waits for it also when the browser has left.
//!
//! Used by `forward` where there is an interceptor. The surprise: hyper drops a request's future when
//! its browser hangs up, and with it the answer; what Django did by then is done all the same, so what
//! it has to say about it must still be heard. A future that may be carried on lives in a box, which is
//! all that it costs where nobody leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::Semaphore;

use super::intercept::{Asked, Intercept, Outgoing};
use super::upload::Upload;
use crate::net::drain::DrainWatch;
use crate::web::request::Downstream;

/// Answers that are waited for without a browser, at once. Beyond it the connection is closed, as it is
/// for upstreams that nobody looks at: a client that sends and leaves, again and again, gets no further.
const MOST_ABANDONED: usize = 256;

/// What a request comes to.
pub(super) type Sending = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

/// Shows requests and answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    intercept: Arc<dyn Intercept>,
    limit: Duration,
    abandoned: Arc<Semaphore>,
    drain: DrainWatch,
}

/// An answer whose head is shown as soon as it comes.
pub(super) struct Carried {
    /// Gone when it came.
    waiting: Option<Waiting>,
}

struct Waiting {
    answer: Pin<Box<dyn Future<Output = Sending> + Send>>,
    asked: Asked,
    shared: Arc<Shared>,
}

impl Carrier {
    /// A carrier that waits `limit` for the answers of those who left.
    pub(super) fn new(intercept: Arc<dyn Intercept>, limit: Duration, drain: DrainWatch) -> Self {
        let abandoned = Arc::new(Semaphore::new(MOST_ABANDONED));
        let shared = Shared {
            intercept,
            limit,
            abandoned,
            drain,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Lets the interceptor add to a request in the moment it leaves: it may have waited for long.
    pub(super) fn show(&self, request: &mut Request<Upload>, downstream: &Downstream) -> Asked {
        let asked = Asked::of(request, downstream);
        let method = request.method().clone();
        let outgoing = Outgoing {
            method: &method,
            uri: &asked.uri,
            fields: request.headers_mut(),
        };
        self.shared.intercept.outgoing(outgoing, downstream);
        asked
    }

    /// The answer to a request that was shown.
    pub(super) fn carry<F>(&self, answer: F, asked: Asked) -> Carried
    where
        F: Future<Output = Sending> + Send + 'static,
    {
        let waiting = Waiting {
            answer: Box::pin(answer),
            asked,
            shared: Arc::clone(&self.shared),
        };
        Carried {
            waiting: Some(waiting),
        }
    }
}

impl Waiting {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sending> {
        let mut answered = self.answer.as_mut().poll(context);
        if let Poll::Ready(Ok(response)) = &mut answered {
            let (intercept, status) = (&self.shared.intercept, response.status());
            let passed_on = intercept.incoming(&self.asked, status, response.headers());
            if let Some(passed_on) = passed_on {
                response.extensions_mut().insert(passed_on);
            }
        }
        answered
    }

    /// Waits for the head alone: with it the connection is closed.
    fn carry_on(mut self) {
        if tokio::runtime::Handle::try_current().is_err() {
            // The runtime itself ends, and with it every answer.
            return;
        }
        let Ok(place) = Arc::clone(&self.shared.abandoned).try_acquire_owned() else {
            tracing::debug!("too many answers are waited for without a browser");
            return;
        };
        let shared = Arc::clone(&self.shared);
        let limit = shared.limit;
        shared.drain.spawn(async move {
            let answer = std::future::poll_fn(|context| self.poll(context));
            // Whatever it is, nobody is left to hear of it.
            let _ = tokio::time::timeout(limit, answer).await;
            drop(place);
        });
    }
}

impl Future for Carried {
    type Output = Sending;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Sending> {
        let Some(waiting) = &mut self.waiting else {
            // Polled after its end, which no caller does.
            return Poll::Pending;
        };
        let answered = waiting.poll(context);
        if answered.is_ready() {
            self.waiting = None;
        }
        answered
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.carry_on();
        }
    }
}
