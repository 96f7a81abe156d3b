//! A connection that is read on after nothing more is written to it.
//!
//! Used by `upstream_connection` under hyper, which knows no such thing. An upstream may answer and close before it has
//! read a request's body (a refused upload); the next write then fails, and hyper would give up with the
//! answer unread. And where a client has left, our half is ended ([`OurHalf`]): a server that looks at its
//! connection stops, one that does not (WSGI) has its answer read all the same. Nothing is written
//! afterwards, but the read side always comes to an end, with the answer or without; then writing fails, since
//! hyper does not let go of a connection before it has written what it had.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reader outlives its writer.
#[derive(Debug)]
pub(super) struct ReadAfterEnd<S> {
    stream: S,
    writing: Writing,
    /// Nothing more comes: all was read, or reading failed.
    is_read: bool,
    half: OurHalf,
}

/// The gateway's half of a connection, which may be ended. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct OurHalf(Arc<OurHalfInner>);

#[derive(Debug, Default)]
struct OurHalfInner {
    is_ended: AtomicBool,
    reader: AtomicWaker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Possible,
    Over,
}

impl OurHalf {
    /// Nothing more is said: the other side reads the end.
    pub(super) fn end(&self) {
        self.0.is_ended.store(true, Ordering::Release);
        self.0.reader.wake();
    }

    fn is_ended(&self, context: &Context<'_>) -> bool {
        self.0.reader.register(context.waker());
        self.0.is_ended.load(Ordering::Acquire)
    }
}

impl<S> ReadAfterEnd<S> {
    /// Nothing has failed yet, and `half` is not ended.
    pub(super) fn new(stream: S, half: OurHalf) -> Self {
        Self {
            stream,
            writing: Writing::Possible,
            is_read: false,
            half,
        }
    }

    fn judge(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Err(error))
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                self.writing = Writing::Over;
                self.wait_for_reader()
            }
            _ => written,
        }
    }

    /// What is written after the end fails when the reader has all; hyper polls both sides of a connection.
    fn wait_for_reader(&self) -> Poll<io::Result<usize>> {
        if self.is_read {
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        } else {
            Poll::Pending
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ReadAfterEnd<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.writing == Writing::Possible && self.half.is_ended(context) {
            self.writing = Writing::Over;
            // Neither TCP nor a Unix socket has to wait for it, and one that is broken is found by reading.
            let _ = Pin::new(&mut self.stream).poll_shutdown(context);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.is_read |= match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAfterEnd<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Over {
            return self.wait_for_reader();
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Over {
            return self.wait_for_reader();
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_the_end_is_read_after_a_failed_write() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = ReadAfterEnd::new(ours, OurHalf::default());
        theirs.write_all(b"no").await.unwrap();
        drop(theirs);
        assert!(poll_immediate(ours.write(b"more")).await.is_none());
        assert!(poll_immediate(ours.write(b"more")).await.is_none());
        let mut said = String::new();
        ours.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "no");
        // Who waits to write the rest would wait for ever.
        let written = poll_immediate(ours.write(b"more")).await;
        assert_eq!(written.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    /// A connection whose other side has left, which is seen when it is written to.
    #[derive(Default)]
    struct BreaksAtWrite {
        is_broken: bool,
        reader: AtomicWaker,
    }

    impl AsyncRead for BreaksAtWrite {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.reader.register(context.waker());
            if self.is_broken {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        }
    }

    impl AsyncWrite for BreaksAtWrite {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.is_broken = true;
            self.reader.wake();
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_breaks_at_a_request_ends_with_it() {
        let stream = ReadAfterEnd::new(BreaksAtWrite::default(), OurHalf::default());
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let request = http::Request::new(String::new());
        let answered = sender.send_request(request);
        let both = futures_util::future::join(answered, connection);
        let both = tokio::time::timeout(std::time::Duration::from_mins(1), both);
        let (answered, _) = both.await.expect("both end");
        assert!(answered.is_err());
    }

    #[tokio::test]
    async fn whose_half_is_ended_still_hears_the_answer() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let half = OurHalf::default();
        let mut ours = ReadAfterEnd::new(ours, half.clone());
        let mut said = String::new();
        let reads = ours.read_to_string(&mut said);
        let other = async {
            half.end();
            let mut heard = String::new();
            theirs.read_to_string(&mut heard).await.unwrap();
            theirs.write_all(b"an answer").await.unwrap();
            drop(theirs);
            heard
        };
        let (read, heard) = tokio::join!(reads, other);
        assert_eq!(
            (read.unwrap(), heard.as_str(), said.as_str()),
            (9, "", "an answer")
        );
    }
}
