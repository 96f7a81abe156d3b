//! An answer's body on its way to the client, as fast as the client takes it.
//!
//! Made by `forward`. The surprise: it holds the upstream connection; read to its end it gives the
//! connection back, dropped before (the client went away) it closes it, which tells the upstream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::streamed::Progress;
use super::upstream::Lease;
use crate::web::body::BodyError;

/// An answer's body.
#[derive(Debug)]
pub(super) struct Download {
    body: Incoming,
    borrowed: Option<Borrowed>,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The connection a body comes over, and what becomes of it at the end.
#[derive(Debug)]
pub(super) struct Borrowed {
    /// The connection.
    pub(super) lease: Lease,
    /// How long it may idle; zero: it must not be used again.
    pub(super) keep: Duration,
    /// The request's body, which must have ended too.
    pub(super) upload: Option<Progress>,
}

/// How long to wait for the next part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// That long.
    Limited(Duration),
    /// For ever: an event stream is silent while nothing happens.
    Endless,
}

/// The upstream stopped in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the upstream sent nothing for {0:?}")]
struct Stalled(Duration);

impl Download {
    /// A body to be handed on.
    pub(super) fn new(body: Incoming, borrowed: Option<Borrowed>, patience: Patience) -> Self {
        Self {
            body,
            borrowed,
            patience,
            timer: None,
        }
    }

    fn end(&mut self) {
        if let Some(borrowed) = self.borrowed.take() {
            borrowed.give_back();
        }
    }

    fn poll_stall(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Patience::Limited(limit) = self.patience else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.borrowed = None;
        tracing::warn!(?limit, "upstream stopped in the middle of an answer");
        Poll::Ready(Some(Err(Stalled(limit).into())))
    }
}

impl Borrowed {
    /// Both bodies have ended: the connection may serve again.
    pub(super) fn give_back(self) {
        let sent = self.upload.as_ref().is_none_or(Progress::is_done);
        if sent {
            self.lease.give_back(self.keep);
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return this.poll_stall(context),
        };
        this.timer = None;
        match frame {
            Some(Ok(frame)) if frame.is_data() => {
                if this.body.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // Trailers are dropped; they come last.
            Some(Ok(_)) | None => {
                this.end();
                Poll::Ready(None)
            }
            // The client must see a broken answer, never a clean end.
            Some(Err(error)) => {
                this.borrowed = None;
                tracing::warn!(%error, "upstream broke off an answer");
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
