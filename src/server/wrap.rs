//! The wrappers through which a connection's pace is seen: its socket and its response bodies.
//!
//! Put on by `connection`. The surprise: the socket's wrapper also carries the connection's permit,
//! because it is the one thing that an upgraded WebSocket keeps of its HTTP connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::Span;

use super::deadlines::Deadlines;
use super::request_limits::LastAnswer;
use crate::net::per_address::AddressPermit;
use crate::net::stream::Stream;
use crate::web::body::{BodyError, ResponseBody, Unending};
use crate::web::request_body::RequestBody;

/// A client's socket.
#[derive(Debug)]
pub(super) struct PacedStream {
    stream: Stream,
    deadlines: Arc<Deadlines>,
    expected: Expected,
    _permit: AddressPermit,
}

/// What the next bytes must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The beginning of a TLS handshake.
    Handshake,
    /// Whatever comes.
    Anything,
}

/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// Why reading fails where TLS was expected: the client speaks something else, most likely HTTP.
#[derive(Debug, Error)]
#[error("the client does not speak TLS")]
pub(super) struct NotTls;

/// A request under way: from its header section until hyper has taken its answer whole.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Deadlines>);

/// A response body.
#[derive(Debug)]
pub(super) struct PacedBody {
    body: ResponseBody,
    owes: bool,
    in_flight: InFlight,
    /// Of the request: what goes wrong with the body is about it.
    span: Span,
}

impl PacedStream {
    pub(super) fn new(stream: Stream, deadlines: Arc<Deadlines>, permit: AddressPermit) -> Self {
        Self {
            stream,
            deadlines,
            expected: Expected::Anything,
            _permit: permit,
        }
    }

    /// Fails reading with [`NotTls`] if the first byte is not that of a handshake. Found out here,
    /// the client can still be told in its own words, which after rustls's alert it cannot.
    pub(super) fn expecting_tls(mut self) -> Self {
        self.expected = Expected::Handshake;
        self
    }

    fn record(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.deadlines.has_written(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.deadlines.cannot_write(),
        }
        written
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(first) = buffer.filled().get(before) else {
            return read;
        };
        self.deadlines.has_read();
        if std::mem::replace(&mut self.expected, Expected::Anything) == Expected::Handshake
            && *first != HANDSHAKE
        {
            return Poll::Ready(Err(io::Error::other(NotTls)));
        }
        read
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.record(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.record(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl InFlight {
    pub(super) fn begin(deadlines: &Arc<Deadlines>) -> Self {
        deadlines.request_began();
        Self(Arc::clone(deadlines))
    }

    /// The request's body.
    pub(super) fn body(&self, body: Incoming) -> RequestBody {
        RequestBody::new(body, self.0.half_close())
    }

    /// Records that this answer is about to leave.
    pub(super) fn answers<B>(&self, response: &mut Response<B>) {
        self.0.answers(response.status());
        if response.extensions_mut().remove::<Unending>().is_some() {
            self.0.answers_without_end();
        }
        if response.extensions_mut().remove::<LastAnswer>().is_some() {
            self.0.dismiss();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

impl PacedBody {
    pub(super) fn new(body: ResponseBody, in_flight: InFlight, span: Span) -> Self {
        // An HTTP/2 client that opens no window keeps its body from being asked even once.
        let owes = !body.is_end_stream();
        if owes {
            in_flight.0.body_owes();
        }
        Self {
            body,
            owes,
            in_flight,
            span,
        }
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.owes) {
            self.in_flight.0.body_asked();
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.settle();
        let this = &mut *self;
        let frame = this
            .span
            .in_scope(|| Pin::new(&mut this.body).poll_frame(cx));
        if let Poll::Ready(Some(Ok(_))) = frame {
            self.owes = true;
            self.in_flight.0.body_owes();
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

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.settle();
    }
}
