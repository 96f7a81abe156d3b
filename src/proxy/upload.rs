//! Request bodies on their way to an upstream, always with a known length.
//!
//! Made by `forward`, polled by the connection to the upstream. The surprise: hyper reports a body
//! that fails as an error of the *upstream* request; [`Progress`] remembers whose fault it was.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::UploadFault;
use super::spool::{Spool, Spooled, SpooledFile};
use crate::net::drain::DrainWatch;
use crate::web::body::BodyError;

/// A body of at most this size is read before an upstream's worker is taken for it, so that a slow
/// client does not occupy one.
const READ_FIRST: u64 = 64 * 1024;

/// What is thrown away of a body that is too large, behind the answer that says so: so many bytes,
/// while they come in such a time.
const THROWN_AWAY: (u64, Duration) = (1 << 30, Duration::from_secs(2));

/// What a request body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct UploadLimits {
    /// Bytes.
    pub(super) size: u64,
    /// Between two parts.
    pub(super) stall: Duration,
}

/// A request's body.
#[derive(Debug)]
pub(super) enum Upload {
    /// There is none.
    Empty,
    /// It is in memory.
    Ready(Bytes),
    /// It is in a file.
    File(SpooledFile),
    /// It comes from the client as it is sent.
    Stream(Box<Streamed>),
}

/// A body that comes from the client as it is sent.
#[derive(Debug)]
pub(super) struct Streamed {
    body: Incoming,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Progress,
}

/// How far a streamed body has come. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    inner: Arc<Mutex<ProgressInner>>,
}

#[derive(Debug)]
struct ProgressInner {
    last: Instant,
    done: bool,
    fault: Option<UploadFault>,
}

impl Upload {
    /// Takes a client's body. Reads it here unless it is large and its length is known.
    pub(super) async fn receive(
        mut body: Incoming,
        limits: UploadLimits,
        unwanted: Unwanted<'_>,
    ) -> Result<Self, UploadFault> {
        if body.is_end_stream() {
            return Ok(Self::Empty);
        }
        let received = match body.size_hint().exact() {
            Some(length) if length > limits.size => Err(UploadFault::TooLarge(limits.size)),
            Some(length) if length > READ_FIRST => {
                return Ok(Self::Stream(Box::new(Streamed::new(body, limits.stall))));
            }
            _ => spool(&mut body, limits).await,
        };
        if let (Err(UploadFault::TooLarge(_)), Unwanted::ThrownAway(drain)) = (&received, unwanted)
        {
            drain.spawn(throw_away(body));
        }
        received
    }

    /// The exact length, or `None` where there is no body.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            _ => self.size_hint().exact(),
        }
    }

    /// How far it has come, where it is streamed.
    pub(super) fn progress(&self) -> Option<Progress> {
        match self {
            Self::Stream(streamed) => Some(streamed.progress.clone()),
            _ => None,
        }
    }
}

async fn spool(body: &mut Incoming, limits: UploadLimits) -> Result<Upload, UploadFault> {
    let mut spool = Spool::default();
    loop {
        let frame = match tokio::time::timeout(limits.stall, body.frame()).await {
            Err(_) => return Err(UploadFault::Stalled(limits.stall)),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| UploadFault::Broken)?,
        };
        // Trailers are dropped: nothing behind WSGI could see them.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if spool.length() + data.len() as u64 > limits.size {
            return Err(UploadFault::TooLarge(limits.size));
        }
        spool.push(&data).await.map_err(UploadFault::Spool)?;
    }
    Ok(match spool.finish().await.map_err(UploadFault::Spool)? {
        Spooled::Memory(bytes) => Upload::Ready(bytes),
        Spooled::File(file) => Upload::File(file),
    })
}

/// What becomes of a body that is too large.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unwanted<'a> {
    /// Its client has not begun to send it, or can be told to stop.
    Left,
    /// Its client sends first and reads afterwards: cut off, it would report a broken pipe instead
    /// of the answer. The answer leaves at once; this goes on behind it.
    ThrownAway(&'a DrainWatch),
}

async fn throw_away(mut body: Incoming) {
    let (mut left, pause) = THROWN_AWAY;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(pause, body.frame()).await {
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        left = left.saturating_sub(size);
        if left == 0 {
            // Who sends still more is cut off after all.
            return;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Ready(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Ready(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File(file) => file
                .poll_next(context)
                .map(|part| part.map(|bytes| bytes.map(Frame::data).map_err(Into::into))),
            Self::Stream(streamed) => streamed.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Ready(bytes) => bytes.is_empty(),
            Self::File(file) => file.left() == 0,
            Self::Stream(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(file) => SizeHint::with_exact(file.left()),
            Self::Stream(streamed) => streamed.body.size_hint(),
        }
    }
}

impl Streamed {
    fn new(body: Incoming, stall: Duration) -> Self {
        let progress = Progress::new();
        Self {
            body,
            stall,
            timer: None,
            progress,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_stall(context),
        };
        self.timer = None;
        match frame {
            Some(Ok(frame)) if frame.is_data() => {
                self.progress.moved(self.body.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Ok(_)) | None => {
                self.progress.moved(true);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.progress.failed(UploadFault::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn poll_stall(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let stall = self.stall;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.progress.failed(UploadFault::Stalled(stall));
        Poll::Ready(Some(Err(UploadFault::Stalled(stall).into())))
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            inner: Arc::new(Mutex::new(ProgressInner {
                last: Instant::now(),
                done: false,
                fault: None,
            })),
        }
    }

    fn moved(&self, done: bool) {
        let mut inner = self.lock();
        inner.last = Instant::now();
        inner.done = done;
    }

    fn failed(&self, fault: UploadFault) {
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

    /// What the client did wrong, told once.
    pub(super) fn fault(&self) -> Option<UploadFault> {
        self.lock().fault.take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ProgressInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
