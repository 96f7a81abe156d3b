//! Request bodies on their way to an upstream, always with a known length.
//!
//! Made by `receive`, polled by the connection to the upstream. A body that was kept can fail too, and
//! hyper reports that as an error of the *upstream* request; [`UploadProgress`] remembers it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::spool::Spooled;
use super::streamed::{Streamed, UploadProgress};
use super::upload_fault::UploadFault;
use crate::web::body::BodyError;

/// A request's body.
#[derive(Debug)]
pub(super) enum Upload {
    /// There is none.
    Empty,
    /// It is small.
    Ready(Bytes),
    /// It was kept until it was whole.
    Spooled(Box<SpooledUpload>),
    /// It comes from the client as it is sent.
    Stream(Box<Streamed>),
}

/// A body that is sent from where it was kept.
#[derive(Debug)]
pub(super) struct SpooledUpload {
    spooled: Spooled,
    progress: UploadProgress,
}

impl Upload {
    /// A body that was kept until it was whole.
    pub(super) fn spooled(spooled: Spooled) -> Self {
        let progress = UploadProgress::new();
        Self::Spooled(Box::new(SpooledUpload { spooled, progress }))
    }

    /// The exact length, or `None` where there is no body.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            _ => self.size_hint().exact(),
        }
    }

    /// How far it has come, where it does not go out at once.
    pub(super) fn progress(&self) -> Option<UploadProgress> {
        match self {
            Self::Empty | Self::Ready(_) => None,
            Self::Spooled(kept) => Some(kept.progress.clone()),
            Self::Stream(streamed) => Some(streamed.progress()),
        }
    }
}

impl SpooledUpload {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = std::task::ready!(self.spooled.poll_next(context));
        Poll::Ready(match part {
            Some(Ok(bytes)) => {
                self.progress.moved(self.spooled.left() == 0);
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(error)) => {
                let text = error.to_string();
                self.progress.failed(UploadFault::Unreadable(error));
                Some(Err(text.into()))
            }
            None => {
                self.progress.moved(true);
                None
            }
        })
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
            Self::Spooled(kept) => kept.poll(context),
            Self::Stream(streamed) => streamed.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Ready(bytes) => bytes.is_empty(),
            Self::Spooled(kept) => kept.spooled.left() == 0,
            Self::Stream(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Spooled(kept) => SizeHint::with_exact(kept.spooled.left()),
            Self::Stream(streamed) => streamed.size_hint(),
        }
    }
}
