//! A request body that goes to the upstream while it comes from the client.
//!
//! Made by `receive` where streaming was asked for. The surprise: hyper reports a body that
//! fails as an error of the *upstream* request; [`UploadProgress`] remembers whose fault it was. And an
//! upstream may answer before it has read the body: the client still gets to send the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::body_rate::{BodyPace, BodyRate};
use super::idle_timeout::IdleTimeout;
use super::upload_fault::UploadFault;
use crate::web::body::BodyError;
use crate::web::request_body::RequestBody;

/// A body that comes from the client as it is sent.
#[derive(Debug)]
pub(super) struct Streamed {
    /// Gone when it failed.
    body: Option<RequestBody>,
    rate: BodyRate,
    idle: IdleTimeout,
    progress: UploadProgress,
}

impl Streamed {
    /// A body of which nothing was asked for yet.
    pub(super) fn new(body: RequestBody, pace: BodyPace) -> Self {
        Self {
            body: Some(body),
            rate: BodyRate::new(pace),
            idle: IdleTimeout::default(),
            progress: UploadProgress::new(),
        }
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> UploadProgress {
        self.progress.clone()
    }

    /// Whether all of it went by.
    pub(super) fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    /// How much is still to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }

    /// The next part.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_stall(context),
        };
        let waited = self.idle.reset();
        match frame {
            Some(Ok(frame)) if frame.is_data() => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                self.rate.came(size, waited);
                self.progress.moved(body.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Ok(_)) | None => {
                self.progress.moved(true);
                Poll::Ready(None)
            }
            Some(Err(error)) => self.fail(UploadFault::Broken, error.into()),
        }
    }

    fn poll_stall(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let limit = self.rate.limit();
        ready!(self.idle.poll_idle(limit, context));
        self.fail(self.rate.fault(), self.rate.fault().into())
    }

    fn fail<T>(
        &mut self,
        fault: UploadFault,
        error: BodyError,
    ) -> Poll<Option<Result<T, BodyError>>> {
        if let Some(body) = self.body.take() {
            body.leave();
        }
        self.progress.failed(fault);
        Poll::Ready(Some(Err(error)))
    }
}

/// How far a body has come on its way to the upstream. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct UploadProgress {
    inner: Arc<Mutex<UploadProgressInner>>,
}

#[derive(Debug)]
struct UploadProgressInner {
    last: Instant,
    done: bool,
    fault: Option<UploadFault>,
}

impl UploadProgress {
    /// Nothing has gone by yet.
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Mutex::new(UploadProgressInner {
                last: Instant::now(),
                done: false,
                fault: None,
            })),
        }
    }

    /// A part went by, perhaps the last.
    pub(super) fn moved(&self, done: bool) {
        let mut inner = self.lock();
        inner.last = Instant::now();
        inner.done = done;
    }

    /// The rest will not come.
    pub(super) fn failed(&self, fault: UploadFault) {
        self.lock().fault = Some(fault);
    }

    /// When the last part went by.
    pub(super) fn last(&self) -> Instant {
        self.lock().last
    }

    /// Whether all of it went by.
    pub(super) fn is_done(&self) -> bool {
        self.lock().done
    }

    /// Why the rest will not come, told once.
    pub(super) fn fault(&self) -> Option<UploadFault> {
        self.lock().fault.take()
    }

    fn lock(&self) -> MutexGuard<'_, UploadProgressInner> {
        self.inner.lock()
    }
}
