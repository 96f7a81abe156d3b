//! The client's side of a WebSocket: what is left of a connection of HTTP/1.1, or a stream of HTTP/2 (RFC 8441).
//!
//! Taken off a request by `socket` and `proxy`. The surprise: a stream of HTTP/2 takes whatever is written at once, however
//! long it is, and keeps it until the client opens its window; so it gets small parts, of which few wait there.

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a frame of HTTP/2 carries, unless both sides agree on more. Up to four of them wait behind the client's window: two in
/// hyper's queue, one in its task, and one in h2.
const LARGEST_PART: usize = 16 * 1024;

/// An extension of a request over HTTP/2: dropped with the last of the WebSocket that it asks for.
#[derive(Clone)]
pub struct StreamHold(
    #[expect(dead_code, reason = "what it does is to be dropped")] Arc<dyn Any + Send + Sync>,
);

/// A client's side that is HTTP until its request was answered.
#[derive(Debug)]
pub struct PendingUpgrade {
    upgrade: OnUpgrade,
    hold: Option<StreamHold>,
}

/// A client's side that is no longer HTTP.
#[derive(Debug)]
pub struct ClientStream {
    stream: TokioIo<Upgraded>,
    /// Of a stream of HTTP/2.
    hold: Option<StreamHold>,
}

impl StreamHold {
    /// Keeps this.
    pub fn new(kept: impl Send + Sync + 'static) -> Self {
        Self(Arc::new(kept))
    }
}

impl fmt::Debug for StreamHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamHold")
    }
}

impl PendingUpgrade {
    /// Takes it off the request that asks for it.
    pub fn of<B>(request: &mut Request<B>) -> Self {
        Self {
            upgrade: hyper::upgrade::on(&mut *request),
            hold: request.extensions_mut().remove(),
        }
    }

    /// Whether it is a stream of HTTP/2.
    pub fn is_stream(&self) -> bool {
        self.hold.is_some()
    }

    /// Waits until the answer is on its way; an error means that the client left before.
    pub async fn stream(self) -> hyper::Result<ClientStream> {
        Ok(ClientStream {
            stream: TokioIo::new(self.upgrade.await?),
            hold: self.hold,
        })
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let part = match self.hold {
            Some(_) => &bytes[..bytes.len().min(LARGEST_PART)],
            None => bytes,
        };
        Pin::new(&mut self.stream).poll_write(context, part)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
