//! Shows the heads of requests and answers to the interceptor, also where the browser has left.
//!
//! Used by `forward` where there is an interceptor. The surprise: hyper drops a request's future when
//! its browser hangs up, and with it the answer; what Django did by then is done all the same, so what
//! it has to say about it must still be heard. GET and HEAD are ended at Django after [`GRACE`], by ending
//! the gateway's half of their connection: a server that looks at it stops, and from one that does not (WSGI)
//! the answer is heard, and a place is taken, as long as it works. All else goes on to the end of its answer.
//! A future that may outlive its request lives in a box, which is all that it costs where no browser leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::abandoned::Abandoned;
use super::hand_over::HandOver;
use super::intercept::{Intercept, Outgoing, RequestSummary};
use super::liveness;
use super::pressure::Pressure;
use super::queue::{QueuePlace, QueueRefusal};
use super::read_after_end::OurHalf;
use super::reuse::Sent;
use super::upload::Upload;
use crate::net::drain::DrainWatch;
use crate::web::linger;
use crate::web::request::Downstream;

/// How long an answer to GET or HEAD is waited for without a browser before Django is told. What a quick
/// view publishes is heard so, whatever server it runs in.
const GRACE: Duration = Duration::from_secs(5);

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
    abandoned: Abandoned,
}

/// A request as it was shown, about to be sent.
pub(super) struct Shown {
    summary: RequestSummary,
    our_half: OurHalf,
}

/// An answer whose head is shown as soon as it comes.
pub(super) struct DetachedResponse {
    /// Gone when it came.
    waiting: Option<PendingResponse>,
}

struct PendingResponse {
    answer: Pin<Box<dyn Future<Output = Sending> + Send>>,
    shown: Shown,
    shared: Arc<InterceptedInner>,
    /// Whether it is no matter that the browser leaves.
    goes_on: bool,
    /// The upstream works on it, whether or not a browser waits.
    _place: Option<QueuePlace>,
}

impl Intercepted {
    /// Waits `limit` for answers whose browser has left.
    pub(super) fn new(intercept: Arc<dyn Intercept>, limit: Duration, drain: DrainWatch) -> Self {
        let abandoned = Abandoned::new(limit, drain);
        let shared = InterceptedInner {
            intercept,
            abandoned,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What goes on with a request of this method where its browser leaves.
    pub(super) fn goes_on(&self, method: &Method) -> Option<Abandoned> {
        let is_ended = matches!(*method, Method::GET | Method::HEAD);
        (!is_ended).then(|| self.shared.abandoned.clone())
    }

    /// Lets the interceptor add to a request in the moment it leaves: it may have waited for long.
    pub(super) fn request(
        &self,
        request: &mut Request<Upload>,
        downstream: &Downstream,
        our_half: OurHalf,
    ) -> Shown {
        let summary = RequestSummary::of(request, downstream);
        let method = request.method().clone();
        let outgoing = Outgoing {
            method: &method,
            uri: &summary.uri,
            fields: request.headers_mut(),
        };
        self.shared.intercept.outgoing(outgoing, downstream);
        Shown { summary, our_half }
    }

    /// A place at the upstream, where it has only so many; waits for it, which answers feel that have one.
    pub(super) async fn place(
        intercepted: Option<&Self>,
        fields: &HeaderMap,
        downstream: &Downstream,
        pressure: &Pressure,
    ) -> Result<Option<QueuePlace>, QueueRefusal> {
        let intercept = intercepted.map(|intercepted| &intercepted.shared.intercept);
        match intercept.and_then(|intercept| intercept.queue(fields, downstream)) {
            Some((queue, requester)) => {
                let place = queue.place(requester);
                pressure.during(place).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// The answer to a request that was shown; its head is shown too, even if this is dropped.
    pub(super) fn response<F>(&self, answer: F, shown: Shown, sent: &Sent) -> DetachedResponse
    where
        F: Future<Output = Sending> + Send + 'static,
    {
        let waiting = PendingResponse {
            answer: Box::pin(answer),
            shown,
            shared: Arc::clone(&self.shared),
            goes_on: sent.goes_on.is_some(),
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
            let passed_on = intercept.incoming(&self.shown.summary, status, response.headers());
            let hand_over = HandOver::of(&self.shown.summary, status, response.headers());
            if let Some(passed_on) = passed_on {
                response.extensions_mut().insert(passed_on);
            }
            if let Some(hand_over) = hand_over {
                response.extensions_mut().insert(hand_over);
            }
        }
        answered
    }

    fn detach(self) {
        let abandoned = self.shared.abandoned.clone();
        abandoned.go_on(self.without_browser());
    }

    /// Whatever comes of it, no browser is left to be told.
    async fn without_browser(mut self) {
        let limit = self.shared.abandoned.limit();
        if !self.goes_on {
            if self.head_within(GRACE.min(limit)).await.is_some() {
                return;
            }
            self.shown.our_half.end();
        }
        let Some(Ok(mut response)) = self.head_within(limit).await else {
            return;
        };
        if self.goes_on && liveness::may_be_stored(response.headers()) {
            let rest = linger::throw_away(response.body_mut(), u64::MAX, limit);
            let _ = tokio::time::timeout(limit, rest).await;
        }
    }

    async fn head_within(&mut self, limit: Duration) -> Option<Sending> {
        let head = std::future::poll_fn(|context| self.poll(context));
        tokio::time::timeout(limit, head).await.ok()
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
