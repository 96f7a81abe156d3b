//! A request's body as its client sends it; what becomes of its rest where no handler reads it; and the client that
//! ends its half in the middle of it.
//!
//! Wrapped by `server` around what hyper reads. The surprise: that a client sends nothing more is held back
//! from hyper while an answer is owed (it may have sent all it had). Only the reader of the body knows
//! that more should have come: it waits although hyper was told to read on. And a body that is dropped before its end
//! hands its rest on: most clients send first and read afterwards, and one that is cut off meanwhile reports a broken
//! connection in place of the answer.

use std::fmt;
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
    /// Gone when its rest was handed on.
    body: Option<Incoming>,
    half_close: Option<Arc<HalfClose>>,
    unread: Option<Unread>,
}

/// What becomes of a body that is dropped before its end.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Takes its rest.
    pub taker: Arc<dyn TakesRest>,
    /// Whether the client waits until it is asked for the body, and does not send it before (`Expect`).
    pub is_awaited: bool,
}

/// Takes the rests of bodies, so that their clients can send them.
pub trait TakesRest: fmt::Debug + Send + Sync {
    /// This is left of one.
    fn take(&self, rest: RequestBody);
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
            body: Some(body),
            unread: None,
        }
    }

    /// Where it is dropped before its end, its rest is taken so.
    #[must_use]
    pub fn with_rest(mut self, unread: impl FnOnce() -> Unread) -> Self {
        if !self.is_end_stream() {
            self.unread = Some(unread());
        }
        self
    }

    /// Drops it, and leaves its rest where it is: the client was slow or broke a rule, and the connection ends.
    pub fn leave(mut self) {
        self.unread = None;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        // Now its client is asked for it.
        if let Some(unread) = &mut this.unread {
            unread.is_awaited = false;
        }
        let had_ended = this
            .half_close
            .as_ref()
            .is_some_and(|half_close| half_close.has_ended.load(Ordering::Acquire));
        let frame = Pin::new(body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(_))) => {}
            // Of a body that has ended or broken nothing is left.
            Poll::Ready(None | Some(Err(_))) => this.unread = None,
            Poll::Pending => {
                if let Some(half_close) = &this.half_close {
                    half_close.lacks(had_ended, context);
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.unread.take().filter(|unread| !unread.is_awaited);
        if let Some(unread) = unread
            && !self.is_end_stream()
        {
            unread.taker.take(Self {
                body: self.body.take(),
                half_close: self.half_close.take(),
                unread: None,
            });
        }
    }
}
