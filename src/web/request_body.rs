//! A request's body as its client sends it, and the client that ends its half in the middle of it.
//!
//! Wrapped by `server` around what hyper reads. The surprise: that a client sends nothing more is held back
//! from hyper while an answer is owed (it may have sent all it had). Only the reader of the body knows
//! that more should have come: it waits although hyper was told to read on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

/// A request on its way through the gateway. Boxed: each of the futures that it passes through would keep
/// room for it twice, and copy it.
pub type BoxedRequest = Box<Request<RequestBody>>;

/// A request's body.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    half_close: Option<Arc<HalfClose>>,
}

/// What the body's reader and the client's stream tell each other. One for each connection.
#[derive(Debug, Default)]
pub struct HalfClose {
    has_ended: AtomicBool,
    waiting: Mutex<HalfCloseWaiters>,
}

#[derive(Debug, Default)]
struct HalfCloseWaiters {
    /// The reader of the body, where it waits for more.
    reader: Option<Waker>,
    /// The reader of the stream, where it was not told of its end.
    stream: Option<Waker>,
    /// The end came in the middle of a body.
    is_broken: bool,
}

impl HalfClose {
    /// The stream has ended. Returns whether its reader is to be told: the rest of a body is missing. If not, it is
    /// woken should that come out later.
    pub fn breaks_off(&self, context: &Context<'_>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_broken {
            return true;
        }
        self.has_ended.store(true, Ordering::Release);
        waiting.stream = Some(context.waker().clone());
        // What is on its way to the reader may be all there is.
        if let Some(reader) = waiting.reader.take() {
            reader.wake();
        }
        false
    }

    /// The body's reader has nothing; `had_ended`: the stream had ended before it looked.
    fn lacks(&self, had_ended: bool, context: &Context<'_>) {
        let mut waiting = self.waiting.lock();
        if had_ended {
            waiting.is_broken = true;
            if let Some(stream) = waiting.stream.take() {
                stream.wake();
            }
            return;
        }
        if self.has_ended.load(Ordering::Acquire) {
            // It has ended in between: another look will tell.
            context.waker().wake_by_ref();
            return;
        }
        let reader = &mut waiting.reader;
        if !reader
            .as_ref()
            .is_some_and(|reader| reader.will_wake(context.waker()))
        {
            *reader = Some(context.waker().clone());
        }
    }
}

impl RequestBody {
    /// A body of a connection on which a client may end its half.
    pub fn new(body: Incoming, half_close: Option<&Arc<HalfClose>>) -> Self {
        let half_close = half_close.filter(|_| !body.is_end_stream());
        Self {
            half_close: half_close.cloned(),
            body,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, half_close } = self.get_mut();
        let body = Pin::new(body);
        let Some(half_close) = half_close else {
            return body.poll_frame(context);
        };
        let had_ended = half_close.has_ended.load(Ordering::Acquire);
        let frame = body.poll_frame(context);
        if frame.is_pending() {
            half_close.lacks(had_ended, context);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
