//! The body of a stream, which is the connection itself.
//!
//! Made where a stream begins, polled by hyper. What a client does not take stays in the outbox, which closes
//! one that falls behind, and `server` cuts a client off that takes nothing for `limits.write_timeout`; so
//! nothing here waits for a client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, Sleep};

use super::form::StreamForm;
use super::return_time;
use crate::close::{CloseReason, Reconnect};
use crate::hub::{Item, Outbox, Taken};
use crate::net::per_address::AddressPermit;
use crate::publication::Position;
use crate::socket::closing::ConnectionEnd;
use crate::socket::parts::SocketParts;
use crate::socket::visitors::Attendance;
use crate::telemetry::metrics::KindLabel;
use crate::telemetry::span;
use crate::web::body::{BodyError, ResponseBody};

/// What leaves as one piece.
const BATCH: usize = 4 * 1024;

/// What is sent of one connection.
struct StreamBody {
    /// Before anything that waits.
    first: Option<Bytes>,
    /// Gone at the end, and with it the connection.
    running: Option<Box<RunningStream>>,
}

/// A connection that is a response.
pub(super) struct OpenStream {
    pub(super) joined: Attendance,
    pub(super) parts: Arc<SocketParts>,
    pub(super) form: StreamForm,
    /// Its place among the connections.
    pub(super) _permit: AddressPermit,
    pub(super) terms: Terms,
}

/// How long a stream lasts by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// Whether it is over behind what is the last of one of its topics.
    pub(super) ends_with_topics: bool,
    /// When it is over; `None`: never.
    pub(super) until: Option<Instant>,
}

struct RunningStream {
    stream: OpenStream,
    /// For the next sign of life.
    timer: Pin<Box<Sleep>>,
    end: ConnectionEnd,
}

/// What is sent next.
enum StreamPart {
    More(Bytes),
    Last(Bytes),
}

impl OpenStream {
    /// The body of a client that is at this position and is told this first.
    pub(super) fn begin(self, position: Position, greeting: &[Arc<Item>]) -> ResponseBody {
        let mut first = self.form.begin(position, return_time::usual()).into_bytes();
        for item in greeting {
            first.extend(self.form.write(item).into_iter().flatten());
        }
        let member = self.joined.member();
        span::record("connection", || member.id);
        span::record("user", || member.identity().user.clone());
        let wake = self.next_wake(0.5);
        self.parts.metrics.connections.inc();
        self.gauge().inc();
        ResponseBody::stream(StreamBody {
            first: Some(first.into()),
            running: Some(Box::new(RunningStream {
                timer: Box::pin(tokio::time::sleep_until(wake)),
                stream: self,
                end: ConnectionEnd::Gone,
            })),
        })
    }

    /// How many there are of its form.
    fn gauge(&self) -> Gauge {
        let kind = self.form.transport().name();
        self.parts
            .metrics
            .streams
            .get_or_create_owned(&KindLabel { kind })
    }

    /// When there is something to do even if nothing comes.
    fn next_wake(&self, least: f64) -> Instant {
        let member = self.joined.member();
        let ping = self.parts.settings.next_wake(member.id, least);
        self.terms.until.map_or(ping, |until| until.min(ping))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(running) = &mut self.running else {
            return Poll::Ready(None);
        };
        let bytes = match ready!(running.poll(context)) {
            StreamPart::More(bytes) => bytes,
            StreamPart::Last(bytes) => {
                self.running = None;
                bytes
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.running.is_none()
    }
}

impl RunningStream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StreamPart> {
        let mut quiet_at = None;
        loop {
            match self.outbox().poll_take(context) {
                Poll::Ready(Taken::Item(item)) => {
                    if let Some(part) = self.send(item) {
                        return Poll::Ready(part);
                    }
                }
                Poll::Ready(Taken::Close(reason)) => {
                    return Poll::Ready(StreamPart::Last(self.close(None, reason)));
                }
                Poll::Pending => {
                    if let Some(position) = quiet_at {
                        let sign = self.stream.form.heartbeat(position);
                        return Poll::Ready(StreamPart::More(sign.into()));
                    }
                    ready!(self.timer.as_mut().poll(context));
                    if self.is_over() {
                        return Poll::Ready(StreamPart::Last(
                            self.close(None, CloseReason::AskAgain),
                        ));
                    }
                    self.timer.as_mut().reset(self.stream.next_wake(0.9));
                    // Whatever was published until then waits by now: once more, whether it is quiet.
                    quiet_at = Some(self.stream.parts.topics.position());
                }
            }
        }
    }

    /// An item and what waits behind it as one piece; nothing where this client needs not hear of it.
    fn send(&mut self, first: Arc<Item>) -> Option<StreamPart> {
        let (mut piece, mut next) = (JoinedPieces::default(), Some(first));
        while let Some(item) = next {
            if let Some(text) = self.stream.form.write(&item) {
                piece.push(text);
            }
            if item.ends() && self.stream.terms.ends_with_topics {
                piece.push(self.close(item.position(), CloseReason::StreamEnded));
                return piece.joined().map(StreamPart::Last);
            }
            next = self.outbox().take_within(BATCH.saturating_sub(piece.size));
        }
        piece.joined().map(StreamPart::More)
    }

    fn is_over(&self) -> bool {
        let until = self.stream.terms.until;
        until.is_some_and(|until| until <= Instant::now())
    }

    fn outbox(&self) -> &Outbox {
        &self.stream.joined.member().outbox
    }

    /// The last words. A client that comes back is told when, and nothing else.
    fn close(&mut self, at: Option<Position>, reason: CloseReason) -> Bytes {
        let form = self.stream.form;
        let text = match reason.reconnect() {
            Reconnect::Never => form.close(at, &reason),
            Reconnect::Later => form.come_back(return_time::after(&reason)),
        };
        self.end = ConnectionEnd::Close(reason);
        text.into()
    }
}

impl Drop for RunningStream {
    fn drop(&mut self) {
        let OpenStream { joined, parts, .. } = &self.stream;
        self.stream.gauge().dec();
        parts.record_end(joined.member(), &self.end);
    }
}

/// What leaves together: nearly always one piece, which is shared with others.
#[derive(Default)]
struct JoinedPieces {
    first: Option<Bytes>,
    all: BytesMut,
    size: usize,
}

impl JoinedPieces {
    fn push(&mut self, piece: Bytes) {
        self.size += piece.len();
        match self.first.take() {
            None if self.all.is_empty() => self.first = Some(piece),
            first => {
                self.all.extend(first);
                self.all.extend_from_slice(&piece);
            }
        }
    }

    fn joined(self) -> Option<Bytes> {
        let all = (!self.all.is_empty()).then(|| self.all.freeze());
        self.first.or(all)
    }
}
