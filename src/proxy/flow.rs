//! Where the body of an answer comes from: the upstream itself, or the store that a pump fills.
//!
//! Polled by `download`; `sweep` diverts it, `pump` then reads on from the upstream.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};

use super::abandoned::Abandoned;
use super::answer_body::AnswerBody;
use super::error::{AnswerLabel, UpstreamLabel};
use super::idle_timeout::IdleTimeout;
use super::liveness;
use super::queue::QueuePlace;
use super::reuse::{self, Sent};
use super::store::Store;
use super::streamed::UploadProgress;
use super::upstream::PooledConnection;
use crate::ids::RequestId;
use crate::web::body::BodyError;

pub(super) type NextFrame = Option<Result<Frame<Bytes>, BodyError>>;

/// Where a body comes from, which may change.
#[derive(Debug)]
pub(super) struct Flow(Mutex<BodySource>);

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "few answers are stored, and a box would cost all others an allocation"
)]
enum BodySource {
    Upstream(Direct),
    Store(Store),
    /// Nowhere: the client has gone.
    Nowhere,
}

/// A body that comes from the upstream.
#[derive(Debug)]
pub(super) struct Direct {
    body: AnswerBody,
    origin: Origin,
    /// `None`: an event stream is silent while nothing happens.
    idle_limit: Option<Duration>,
    idle: IdleTimeout,
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

/// Where a body comes from, and for which request.
#[derive(Debug)]
pub(super) struct Origin {
    /// The request.
    pub(super) request_id: RequestId,
    /// The connection.
    pub(super) connection: BodyConnection,
}

/// The connection a body comes over.
#[derive(Debug)]
pub(super) enum BodyConnection {
    /// One of the pool's, to which it may return.
    Pooled(ResponseConnection),
    /// One that was made for this answer alone, to this upstream.
    Own(UpstreamLabel),
    /// It was given back, or is closed.
    Released,
}

/// The connection a body comes over, and what becomes of it at the end.
#[derive(Debug)]
pub(super) struct ResponseConnection {
    /// The connection.
    pub(super) pooled: PooledConnection,
    /// How long it may idle; zero: it must not be used again.
    keep: Duration,
    /// The request's body, which must have ended too.
    upload: Option<UploadProgress>,
    /// Reads the answer to its end where its client leaves.
    goes_on: Option<Abandoned>,
    /// Kept until the answer has ended.
    _place: Option<QueuePlace>,
}

/// The upstream stopped in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the upstream sent nothing for {0:?}")]
struct Stalled(Duration);

impl Flow {
    /// Straight from the upstream.
    pub(super) fn new(body: AnswerBody, origin: Origin, idle_limit: Option<Duration>) -> Self {
        let direct = Direct {
            body,
            origin,
            idle_limit,
            idle: IdleTimeout::default(),
            taken: 0,
            waits_for: WaitsFor::Client,
        };
        Self(Mutex::new(BodySource::Upstream(direct)))
    }

    /// The next part.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<NextFrame> {
        match &mut *self.lock() {
            BodySource::Upstream(direct) => direct.poll(context),
            BodySource::Store(store) => store
                .poll_next(context)
                .map(|next| next.map(|part| part.map(Frame::data))),
            BodySource::Nowhere => Poll::Ready(None),
        }
    }

    /// The client has gone.
    pub(super) fn leave(&self) {
        match std::mem::replace(&mut *self.lock(), BodySource::Nowhere) {
            BodySource::Upstream(direct) => direct.leave(),
            BodySource::Store(store) => store.leave(),
            BodySource::Nowhere => {}
        }
    }

    /// How much the client has taken, where it is the client who is waited for.
    pub(super) fn waits_for_client(&self) -> Option<u64> {
        // Locked: it is being polled in this very moment.
        match &*self.0.try_lock()? {
            BodySource::Upstream(direct)
                if direct.waits_for == WaitsFor::Client && direct.origin.is_pooled() =>
            {
                Some(direct.taken)
            }
            _ => None,
        }
    }

    /// Lets the body come from a store from now on. Returns where it came from and the store, unless
    /// somebody is waiting there.
    pub(super) fn divert(
        &self,
        store: impl FnOnce(AnswerLabel) -> Store,
    ) -> Option<(Direct, Store)> {
        let mut source = self.0.try_lock()?;
        let store = match &*source {
            BodySource::Upstream(direct) if direct.waits_for == WaitsFor::Client => {
                store(direct.origin.label())
            }
            _ => return None,
        };
        match std::mem::replace(&mut *source, BodySource::Store(store.clone())) {
            BodySource::Upstream(direct) => Some((direct, store)),
            BodySource::Store(_) | BodySource::Nowhere => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BodySource> {
        self.0.lock()
    }
}

impl Direct {
    /// The next part.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<NextFrame> {
        let Poll::Ready(frame) = self.body.poll_frame(context) else {
            self.waits_for = WaitsFor::Upstream;
            return self.poll_stall(context);
        };
        self.idle.reset();
        self.waits_for = WaitsFor::Client;
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.is_data() => {
                self.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.has_ended() {
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
                let AnswerLabel {
                    upstream,
                    request_id,
                } = self.origin.label();
                tracing::warn!(upstream = upstream.map(tracing::field::display), %request_id, %error, "upstream broke off an answer");
                self.origin.connection = BodyConnection::Released;
                Some(Err(error))
            }
        })
    }

    /// The client has gone. Dropped, an answer closes its connection, which tells the upstream; some are read to
    /// their end all the same.
    pub(super) fn leave(mut self) {
        let BodyConnection::Pooled(connection) = &mut self.origin.connection else {
            return;
        };
        if let Some(abandoned) = connection.goes_on.take() {
            let limit = abandoned.limit();
            abandoned.go_on(async move {
                let rest = async { while let Some(Ok(_)) = poll_fn(|cx| self.poll(cx)).await {} };
                let _ = tokio::time::timeout(limit, rest).await;
            });
        }
    }

    fn end(&mut self) {
        let connection = std::mem::replace(&mut self.origin.connection, BodyConnection::Released);
        if let BodyConnection::Pooled(connection) = connection {
            connection.give_back();
        }
    }

    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<NextFrame> {
        let Some(limit) = self.idle_limit else {
            return Poll::Pending;
        };
        ready!(self.idle.poll_idle(limit, context));
        let AnswerLabel {
            upstream,
            request_id,
        } = self.origin.label();
        tracing::warn!(
            upstream = upstream.map(tracing::field::display),
            %request_id,
            ?limit,
            "upstream stopped in the middle of an answer"
        );
        self.origin.connection = BodyConnection::Released;
        Poll::Ready(Some(Err(Stalled(limit).into())))
    }
}

impl Origin {
    fn is_pooled(&self) -> bool {
        matches!(self.connection, BodyConnection::Pooled(_))
    }

    /// What the log calls the answer.
    fn label(&self) -> AnswerLabel {
        let upstream = match &self.connection {
            BodyConnection::Pooled(connection) => Some(connection.pooled.label()),
            BodyConnection::Own(upstream) => Some(upstream.clone()),
            BodyConnection::Released => None,
        };
        AnswerLabel {
            upstream,
            request_id: self.request_id,
        }
    }
}

impl ResponseConnection {
    /// The connection of this answer, which serves again only where the whole request was read.
    pub(super) fn new(pooled: PooledConnection, sent: Sent, response: &Response<Incoming>) -> Self {
        let keep = if sent.was_heard(response.status()) {
            reuse::idle_limit(response)
        } else {
            Duration::ZERO
        };
        // A stream has no end, and its writer waits more than it works.
        let ends = liveness::may_be_stored(response.headers());
        Self {
            pooled,
            keep,
            goes_on: sent.goes_on.filter(|_| ends),
            _place: sent.place.filter(|_| ends),
            upload: sent.progress,
        }
    }

    /// Both bodies have ended: the connection may serve again.
    pub(super) fn give_back(self) {
        let sent = self.upload.as_ref().is_none_or(UploadProgress::is_done);
        if sent {
            self.pooled.give_back(self.keep);
        }
    }
}
