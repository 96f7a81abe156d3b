//! Shows the heads of requests and answers to the interceptor, also where the browser has left.
//!
//! Used by `forward` where there is an interceptor. The surprise: hyper drops a request's future when
//! its browser hangs up, and with it the answer; what Django did by then is done all the same, so what
//! it has to say about it must still be heard. A future that may outlive its request lives in a box, which is
//! all that it costs where no browser leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::hand_over::HandOver;
use super::intercept::{Intercept, Outgoing, RequestSummary};
use super::queue::{QueuePlace, QueueRefusal};
use super::reuse::Sent;
use super::upload::Upload;
use crate::net::drain::DrainWatch;
use crate::telemetry::span;
use crate::web::request::Downstream;

/// Answers that are waited for without a browser, at once. Beyond it the connection is closed, as it is
/// for upstreams that are not intercepted: a client that sends and leaves, again and again, gets no further.
const MOST_ABANDONED: usize = 256;

/// What sending a request results in.
pub(super) type Sending = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

/// Shows requests and answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Intercepted {
    shared: Arc<InterceptedInner>,
}

#[derive(Debug)]
struct InterceptedInner {
    intercept: Arc<dyn Intercept>,
    limit: Duration,
    abandoned: Arc<Semaphore>,
    drain: DrainWatch,
}

/// An answer whose head is shown as soon as it comes.
pub(super) struct DetachedResponse {
    /// Gone when it came.
    waiting: Option<PendingResponse>,
}

struct PendingResponse {
    answer: Pin<Box<dyn Future<Output = Sending> + Send>>,
    summary: RequestSummary,
    shared: Arc<InterceptedInner>,
    /// Held even when the browser has left: the upstream works on it.
    _place: Option<QueuePlace>,
}

impl Intercepted {
    /// Waits `limit` for answers whose browser has left.
    pub(super) fn new(intercept: Arc<dyn Intercept>, limit: Duration, drain: DrainWatch) -> Self {
        let abandoned = Arc::new(Semaphore::new(MOST_ABANDONED));
        let shared = InterceptedInner {
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
    pub(super) fn request(
        &self,
        request: &mut Request<Upload>,
        downstream: &Downstream,
    ) -> RequestSummary {
        let summary = RequestSummary::of(request, downstream);
        let method = request.method().clone();
        let outgoing = Outgoing {
            method: &method,
            uri: &summary.uri,
            fields: request.headers_mut(),
        };
        self.shared.intercept.outgoing(outgoing, downstream);
        summary
    }

    /// A place at the upstream, where it has only so many; waits for it.
    pub(super) async fn place(
        intercepted: Option<&Self>,
        fields: &HeaderMap,
        downstream: &Downstream,
    ) -> Result<Option<QueuePlace>, QueueRefusal> {
        let intercept = intercepted.map(|intercepted| &intercepted.shared.intercept);
        match intercept.and_then(|intercept| intercept.queue(fields, downstream)) {
            Some((queue, requester)) => queue.place(requester).await.map(Some),
            None => Ok(None),
        }
    }

    /// The answer to a request that was shown; its head is shown too, even if this is dropped.
    pub(super) fn response<F>(
        &self,
        answer: F,
        summary: RequestSummary,
        sent: &Sent,
    ) -> DetachedResponse
    where
        F: Future<Output = Sending> + Send + 'static,
    {
        let waiting = PendingResponse {
            answer: Box::pin(answer),
            summary,
            shared: Arc::clone(&self.shared),
            _place: sent.place.clone(),
        };
        DetachedResponse {
            waiting: Some(waiting),
        }
    }
}

impl PendingResponse {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sending> {
        let mut answered = self.answer.as_mut().poll(context);
        if let Poll::Ready(Ok(response)) = &mut answered {
            let (intercept, status) = (&self.shared.intercept, response.status());
            let passed_on = intercept.incoming(&self.summary, status, response.headers());
            let hand_over = HandOver::of(&self.summary, status, response.headers());
            if let Some(passed_on) = passed_on {
                response.extensions_mut().insert(passed_on);
            }
            if let Some(hand_over) = hand_over {
                response.extensions_mut().insert(hand_over);
            }
        }
        answered
    }

    /// Waits for the head alone: with it the connection is closed.
    fn detach(mut self) {
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
        let waiting = async move {
            let answer = std::future::poll_fn(|context| self.poll(context));
            // Whatever it is, nobody is left to hear of it.
            let _ = tokio::time::timeout(limit, answer).await;
            drop(place);
        };
        shared.drain.spawn(waiting.instrument(span::current()));
    }
}

impl Future for DetachedResponse {
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

impl Drop for DetachedResponse {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.detach();
        }
    }
}
