//! Where the body of an answer comes from: the upstream itself, or the store that a pump fills.
//!
//! Polled by `download`; `sweep` diverts it, `pump` then reads on from the upstream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Sleep;

use super::liveness;
use super::reuse::{self, Sent};
use super::store::Store;
use super::streamed::Progress;
use super::upstream::Lease;
use crate::web::body::BodyError;

pub(super) type Next = Option<Result<Frame<Bytes>, BodyError>>;

/// Where a body comes from, which may change.
#[derive(Debug)]
pub(super) struct Flow(Mutex<Source>);

#[derive(Debug)]
enum Source {
    Upstream(Direct),
    Store(Store),
}

/// A body that comes from the upstream.
#[derive(Debug)]
pub(super) struct Direct {
    body: Incoming,
    borrowed: Option<Borrowed>,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
    taken: u64,
    waits_for: WaitsFor,
}

/// Who is to do something next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    /// To take what was handed on, or to ask at all.
    Client,
    /// To send more.
    Upstream,
}

/// The connection a body comes over, and what becomes of it at the end.
#[derive(Debug)]
pub(super) struct Borrowed {
    /// The connection.
    pub(super) lease: Lease,
    /// How long it may idle; zero: it must not be used again.
    keep: Duration,
    /// The request's body, which must have ended too.
    upload: Option<Progress>,
}

/// How long to wait for the next part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// That long.
    Limited(Duration),
    /// For ever: an event stream is silent while nothing happens.
    Endless,
}

impl Patience {
    /// As an answer with these fields needs it.
    pub(super) fn of(fields: &HeaderMap, limit: Duration) -> Self {
        if liveness::is_event_stream(fields) {
            return Self::Endless;
        }
        Self::Limited(limit)
    }
}

/// The upstream stopped in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the upstream sent nothing for {0:?}")]
struct Stalled(Duration);

impl Flow {
    /// Straight from the upstream.
    pub(super) fn new(body: Incoming, borrowed: Option<Borrowed>, patience: Patience) -> Self {
        let direct = Direct {
            body,
            borrowed,
            patience,
            timer: None,
            taken: 0,
            waits_for: WaitsFor::Client,
        };
        Self(Mutex::new(Source::Upstream(direct)))
    }

    /// The next part.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Next> {
        match &mut *self.lock() {
            Source::Upstream(direct) => direct.poll(context),
            Source::Store(store) => store
                .poll_next(context)
                .map(|next| next.map(|part| part.map(Frame::data))),
        }
    }

    /// The client has gone.
    pub(super) fn leave(&self) {
        if let Source::Store(store) = &*self.lock() {
            store.leave();
        }
    }

    /// How much the client has taken, where it is the client who is waited for.
    pub(super) fn waits_for_client(&self) -> Option<u64> {
        // Locked: it is being polled in this very moment.
        match &*self.0.try_lock()? {
            Source::Upstream(direct)
                if direct.waits_for == WaitsFor::Client && direct.borrowed.is_some() =>
            {
                Some(direct.taken)
            }
            _ => None,
        }
    }

    /// Lets the body come from `store` from now on. Returns where it came from, unless somebody is
    /// waiting there.
    pub(super) fn divert(&self, store: Store) -> Option<Direct> {
        let mut source = self.0.try_lock()?;
        if !matches!(&*source, Source::Upstream(direct) if direct.waits_for == WaitsFor::Client) {
            return None;
        }
        match std::mem::replace(&mut *source, Source::Store(store)) {
            Source::Upstream(direct) => Some(direct),
            Source::Store(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Source> {
        self.0.lock()
    }
}

impl Direct {
    /// The next part.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.waits_for = WaitsFor::Upstream;
            return self.poll_stall(context);
        };
        self.timer = None;
        self.waits_for = WaitsFor::Client;
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.is_data() => {
                self.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.is_end_stream() {
                    self.end();
                }
                Some(Ok(frame))
            }
            // Trailers are dropped; they come last.
            Some(Ok(_)) | None => {
                self.end();
                None
            }
            // The client must see a broken answer, never a clean end.
            Some(Err(error)) => {
                self.borrowed = None;
                tracing::warn!(%error, "upstream broke off an answer");
                Some(Err(error.into()))
            }
        })
    }

    fn end(&mut self) {
        if let Some(borrowed) = self.borrowed.take() {
            borrowed.give_back();
        }
    }

    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<Next> {
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
    /// The connection of this answer, which serves again only where the whole request was read.
    pub(super) fn new(lease: Lease, sent: Sent, response: &Response<Incoming>) -> Self {
        let keep = if sent.was_heard(response.status()) {
            reuse::keep(response)
        } else {
            Duration::ZERO
        };
        Self {
            lease,
            keep,
            upload: sent.progress,
        }
    }

    /// Both bodies have ended: the connection may serve again.
    pub(super) fn give_back(self) {
        let sent = self.upload.as_ref().is_none_or(Progress::is_done);
        if sent {
            self.lease.give_back(self.keep);
        }
    }
}
