//! One connection, over TCP or a Unix socket.
//!
//! Made by the listener for clients and by `proxy` for upstreams; wrapped by `server` and hyper. A
//! write of one slice goes out by `send`, because TLS offers even a single record as a list, and
//! `writev` costs a microsecond more for it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// Hands a call on to the socket inside.
macro_rules! inner {
    ($self:ident, $method:ident($($argument:ident),*)) => {
        match $self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inner!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inner!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match only(slices) {
            Some(bytes) => inner!(self, poll_write(cx, bytes)),
            None => inner!(self, poll_write_vectored(cx, slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_shutdown(cx))
    }
}

/// The one slice that has bytes, if it is the only one.
fn only<'a>(slices: &'a [IoSlice<'_>]) -> Option<&'a [u8]> {
    let mut filled = slices.iter().filter(|slice| !slice.is_empty());
    match (filled.next(), filled.next()) {
        (Some(slice), None) => Some(slice),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn one_slice_is_written_as_such_and_several_are_not() {
        let [empty, one, two] = [b"".as_slice(), b"one", b"two"].map(IoSlice::new);
        assert_eq!(only(&[one]), Some(b"one".as_slice()));
        assert_eq!(only(&[empty, two, empty]), Some(b"two".as_slice()));
        assert_eq!(only(&[one, two]), None);
        assert_eq!(only(&[empty]), None);
        assert_eq!(only(&[]), None);
    }

    #[tokio::test]
    async fn lists_of_any_length_arrive_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = Stream::Unix(ours);
        for list in [&["a"][..], &["", "b", ""], &["c", "", "d"], &[""]] {
            let slices: Vec<_> = list
                .iter()
                .map(|text| IoSlice::new(text.as_bytes()))
                .collect();
            let expected = list.concat().len();
            assert_eq!(ours.write_vectored(&slices).await.unwrap(), expected);
        }
        drop(ours);
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abcd");
    }
}
