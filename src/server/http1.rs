//! What an HTTP/1.1 client's connection needs besides hyper: three things that hyper leaves to its
//! user, each seen in the bytes.
//!
//! Put by `connection` between hyper and the socket, above TLS. The surprise: a client that has said
//! all it had to say may close its half at once (RFC 9112 9.6) and still waits for the answer, but to
//! hyper that is a client that has left; so the end is held back until the answer is out, unless the
//! rest of a body is missing, or the client is a proxy, which does no such thing. One that really left is found
//! out by writing to it, or by the time that `deadlines` allow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadlines::{Deadlines, Leaving};
use super::refusal;

/// A client's stream of HTTP/1.1.
#[derive(Debug)]
pub(super) struct Http1Stream<S> {
    stream: S,
    deadlines: Arc<Deadlines>,
    /// Whether all that was written is on its way, so that the next bytes begin a head.
    flushed: bool,
    /// Wakes the reader when the answer is out: hyper was told that reading is blocked, and does not try
    /// again by itself.
    held: Option<Waker>,
    /// What leaves in place of what hyper writes.
    instead: Option<Bytes>,
    /// Whether it is HTTP no more.
    switched: bool,
}

impl<S> Http1Stream<S> {
    pub(super) fn new(stream: S, deadlines: Arc<Deadlines>) -> Self {
        Self {
            stream,
            deadlines,
            flushed: true,
            held: None,
            instead: None,
            switched: false,
        }
    }

    /// What should leave in place of a head, where something should.
    fn reworded(&mut self, bytes: &[u8]) -> Option<Bytes> {
        if !self.flushed || self.switched {
            return None;
        }
        match self.deadlines.leaves() {
            Leaving::Switch => {
                self.switched = true;
                Some(respelled(bytes))
            }
            Leaving::Answer => None,
            // Nothing was answered: what hyper says of a request that it cannot read.
            Leaving::Nothing => refusal::in_words(bytes),
        }
    }

    fn release(&mut self) {
        if !self.deadlines.owes_answer()
            && let Some(reader) = self.held.take()
        {
            reader.wake();
        }
    }
}

impl<S: AsyncWrite + Unpin> Http1Stream<S> {
    /// Writes what leaves in place of `length` bytes, to its end.
    fn write_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(instead) = &mut self.instead
            && instead.has_remaining()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, instead))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => instead.advance(written),
            }
        }
        self.instead = None;
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http1Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let ended = buffer.filled().len() == before && buffer.remaining() > 0;
        if !ended || !self.deadlines.owes_answer() {
            return Poll::Ready(Ok(()));
        }
        let half_close = self.deadlines.half_close();
        if half_close.is_none_or(|half_close| half_close.breaks_off(cx)) {
            return Poll::Ready(Ok(()));
        }
        self.deadlines.client_ended();
        self.held = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http1Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = self.reworded(bytes);
        }
        let written = if self.instead.is_some() {
            self.write_instead(cx, bytes.len())
        } else {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        };
        if written.is_ready() {
            self.flushed = false;
            self.release();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(first) = first.filter(|_| self.flushed || self.instead.is_some()) {
            if self.instead.is_none() {
                self.instead = self.reworded(first);
            }
            if self.instead.is_some() {
                return self.poll_write(cx, first);
            }
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if written.is_ready() {
            self.flushed = false;
            self.release();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all it has.
        self.flushed = true;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // Only now: what TLS still had may have been what the answer was waited for.
        self.release();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The head of a 101 with its names as RFC 6455 spells them: devices compare them byte for byte.
fn respelled(head: &[u8]) -> Bytes {
    const OURS: &[u8] = b"Sec-Websocket-";
    const SPELLED: &[u8] = b"Sec-WebSocket-";
    let mut head = head.to_vec();
    for at in 0..head.len().saturating_sub(OURS.len()) {
        let name = &mut head[at..at + OURS.len()];
        if name == OURS {
            name.copy_from_slice(SPELLED);
        }
    }
    head.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_switch_are_spelled_as_in_the_rfc() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nSec-Websocket-Accept: x\r\n\
                     Upgrade: websocket\r\nSec-Websocket-Protocol: y\r\n\r\n";
        let text = String::from_utf8(respelled(head).to_vec()).unwrap();
        assert!(text.contains("\r\nSec-WebSocket-Accept: x\r\n"), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Protocol: y\r\n"), "{text}");
        assert_eq!(text.len(), head.len());
        assert_eq!(respelled(b"x"), b"x"[..]);
    }
}
