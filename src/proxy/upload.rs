//! Request bodies on their way to an upstream, always with a known length.
//!
//! Made by `forward`, polled by the connection to the upstream. The surprise: only a large body whose
//! length is known is streamed; all others are complete before an upstream's worker is taken for them.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::UploadFault;
use super::spool::{Spool, Spooled, SpooledFile};
use super::streamed::{Progress, Streamed, Unwanted};
use crate::web::body::BodyError;

/// A body of at most this size is read before an upstream's worker is taken for it, so that a slow
/// client does not occupy one.
const READ_FIRST: u64 = 64 * 1024;

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

impl Upload {
    /// Takes a client's body. Reads it here unless it is large and its length is known.
    pub(super) async fn receive(
        mut body: Incoming,
        limits: UploadLimits,
        unwanted: Unwanted,
    ) -> Result<Self, UploadFault> {
        if body.is_end_stream() {
            return Ok(Self::Empty);
        }
        let received = match body.size_hint().exact() {
            Some(length) if length > limits.size => Err(UploadFault::TooLarge(limits.size)),
            Some(length) if length > READ_FIRST => {
                let streamed = Streamed::new(body, limits.stall, unwanted);
                return Ok(Self::Stream(Box::new(streamed)));
            }
            _ => spool(&mut body, limits).await,
        };
        if matches!(received, Err(UploadFault::TooLarge(_))) {
            unwanted.dispose(body);
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
            Self::Stream(streamed) => Some(streamed.progress()),
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
            Self::Stream(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(file) => SizeHint::with_exact(file.left()),
            Self::Stream(streamed) => streamed.size_hint(),
        }
    }
}
