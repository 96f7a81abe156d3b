//! A connection on which a failed write is not the end: what the peer said before is still read.
//!
//! Used by `upstream` under hyper. An upstream may answer and close before it has read a request's
//! body (a refused upload); the next write then fails, and hyper would give up with the answer
//! unread. The surprise: after a failed write nothing more is ever written, but the read side always
//! comes to an end soon, with the answer or without.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reader outlives its writer.
#[derive(Debug)]
pub(super) struct ReadAfterWriteError<S> {
    stream: S,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Possible,
    Over,
}

impl<S> ReadAfterWriteError<S> {
    /// Nothing has failed yet.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            writing: Writing::Possible,
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
                Poll::Pending
            }
            _ => written,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAfterWriteError<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAfterWriteError<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Over {
            return Poll::Pending;
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
            return Poll::Pending;
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
        let mut ours = ReadAfterWriteError::new(ours);
        theirs.write_all(b"no").await.unwrap();
        drop(theirs);
        assert!(poll_immediate(ours.write(b"more")).await.is_none());
        assert!(poll_immediate(ours.write(b"more")).await.is_none());
        let mut said = String::new();
        ours.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "no");
    }
}
