//! A stream that gives so many bytes between two messages and no more.
//!
//! Under the codec of every socket. The surprise: the codec hands out whole messages alone, and takes empty
//! fragments, or a message that never ends, for as long as they come; what it takes has to be counted below
//! it, and the count starts over with each message, which the rate of messages counts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More came than one message can be.
#[derive(Debug, thiserror::Error)]
#[error("more bytes than a message may have, and no message")]
pub(super) struct Flood;

impl Flood {
    /// Whether this is why a stream could not be read.
    pub(super) fn is_cause_of(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(cause) if cause.is::<Self>())
    }
}

/// Counts what is read. Writes pass.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    left: usize,
}

impl<S> Metered<S> {
    /// Gives `bytes`; what is buffered at the end comes whole.
    pub(super) fn new(inner: S, bytes: usize) -> Self {
        Self { inner, left: bytes }
    }

    /// Gives this many bytes from here on, whatever was read before.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Whether it gives no more.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// What is counted no more.
    pub(super) fn inner(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_spent() {
            return Poll::Ready(Err(io::Error::other(Flood)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn so_many_bytes_are_given_and_no_more_until_more_are_allowed() {
        let mut stream = Metered::new(tokio::io::repeat(7), 100);
        let mut buffer = [0; 60];
        for _ in 0..2 {
            assert_eq!(stream.read(&mut buffer).await.unwrap(), 60);
        }
        assert!(stream.is_spent());
        let flood = stream.read(&mut buffer).await.unwrap_err();
        assert!(Flood::is_cause_of(&flood));
        stream.allow(1);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 60);
        assert!(stream.read(&mut buffer).await.is_err());
        assert_eq!(stream.inner().read(&mut buffer).await.unwrap(), 60);
    }
}
