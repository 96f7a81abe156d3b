//! What an HTTP/2 client's connection needs besides hyper: an end to frames that carry nothing.
//!
//! Put by `connection` between hyper and the socket, above TLS. hyper bounds streams, header sections,
//! resets and unread data; it takes PING, SETTINGS, PRIORITY and empty DATA without end
//! (CVE-2019-9512 and similar), each of which costs the gateway more than the client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// `PRI * HTTP/2.0` and what follows it (RFC 9113 3.4).
const PREFACE: usize = 24;
/// Length, type, flags and stream of a frame (RFC 9113 4.1).
const HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RESET: u8 = 0x3;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;

/// Browsers send some twenty when a connection begins, and a ping now and then.
const MOST_EMPTY: u32 = 1_000;
/// Within this time.
const WINDOW: Duration = Duration::from_secs(1);
/// A window is updated twice, of the stream and of the connection, for so few bytes at the most often.
const LEAST_UPDATED: u64 = 8;

/// A client's stream of HTTP/2.
#[derive(Debug)]
pub(super) struct Http2Stream<S> {
    stream: S,
    frames: FrameMeter,
}

/// Follows the frames in what is read, whichever way it is cut into pieces.
#[derive(Debug)]
struct FrameMeter {
    /// Bytes that are of no interest: the rest of the preface or of a payload.
    skip: usize,
    header: [u8; HEADER],
    known: usize,
    /// Frames that carried nothing, and since when they are counted.
    empty: u32,
    since: Instant,
    /// Updates of windows that what was written explains.
    updates: u64,
    /// Resets that requests explain: one each.
    resets: u64,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the client sends more than {MOST_EMPTY} HTTP/2 frames a second that carry nothing")]
struct EmptyFrames;

impl<S> Http2Stream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            frames: FrameMeter {
                skip: PREFACE,
                header: [0; HEADER],
                known: 0,
                empty: 0,
                since: Instant::now(),
                updates: 0,
                resets: 0,
            },
        }
    }
}

impl FrameMeter {
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), EmptyFrames> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.known).min(bytes.len());
            self.header[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEADER {
                self.known = 0;
                self.begin()?;
            }
        }
        Ok(())
    }

    /// A frame begins.
    fn begin(&mut self) -> Result<(), EmptyFrames> {
        let [a, b, c, kind, flags, ..] = self.header;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let carries = match kind {
            DATA => self.skip > 0 || flags & END_STREAM != 0,
            // hyper has bounds of its own for these, and for resets of requests.
            HEADERS => {
                self.resets += 1;
                true
            }
            CONTINUATION => true,
            RESET if self.resets > 0 => {
                self.resets -= 1;
                true
            }
            WINDOW_UPDATE if self.updates > 0 => {
                self.updates -= 1;
                true
            }
            _ => false,
        };
        if carries { Ok(()) } else { self.count() }
    }

    fn count(&mut self) -> Result<(), EmptyFrames> {
        let now = Instant::now();
        if now - self.since >= WINDOW {
            (self.empty, self.since) = (0, now);
        }
        self.empty += 1;
        if self.empty > MOST_EMPTY {
            return Err(EmptyFrames);
        }
        Ok(())
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.updates += (*bytes as u64).div_ceil(LEAST_UPDATED);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http2Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Err(flood) = self.frames.read(&buffer.filled()[before..]) {
            return Poll::Ready(Err(io::Error::other(flood)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.frames.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.frames.wrote(&written);
        written
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

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::Http2Stream;

    /// What is read of an HTTP/2 connection is followed alike, whichever way it is cut.
    pub fn frames(bytes: &[u8], piece: usize) {
        let mut whole = Http2Stream::new(()).frames;
        let mut cut = Http2Stream::new(()).frames;
        let whole_is_fine = whole.read(bytes).is_ok();
        let cut_is_fine = bytes.chunks(piece).all(|piece| cut.read(piece).is_ok());
        // Otherwise a second may have passed in between.
        if whole_is_fine && cut_is_fine {
            let place = |meter: &super::FrameMeter| (meter.skip, meter.known, meter.resets);
            assert_eq!(place(&whole), place(&cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PING: u8 = 0x6;
    const SETTINGS: u8 = 0x4;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// What becomes of a client that sends so many of a frame after its preface, in pieces of `piece`
    /// bytes, to a server that wrote `written` bytes before.
    async fn after(frames: usize, of: &[u8], piece: usize, written: usize) -> io::Result<()> {
        let (mut client, server) = duplex(1 << 20);
        let mut server = Http2Stream::new(server);
        server.write_all(&vec![0; written]).await.unwrap();
        let sent = [vec![b'P'; PREFACE], of.repeat(frames)].concat();
        for piece in sent.chunks(piece) {
            client.write_all(piece).await.unwrap();
            let mut buffer = vec![0; piece.len()];
            server.read_exact(&mut buffer).await?;
            assert_eq!(buffer, piece);
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_nothing_end_a_connection_however_they_are_cut() {
        let floods = [
            frame(PING, 0, &[0; 8]),
            frame(SETTINGS, 0, &[]),
            frame(DATA, 0, &[]),
            frame(RESET, 0, &[0; 4]),
            frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
            frame(0xaa, 0, &[1; 200]),
        ];
        for flood in floods {
            for piece in [1, 7, 4096] {
                let most = MOST_EMPTY as usize;
                assert!(after(most, &flood, piece, 0).await.is_ok());
                let error = after(most + 1, &flood, piece, 0).await.unwrap_err();
                assert!(error.to_string().contains("carry nothing"), "{error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_carries_something_or_follows_from_what_was_written_is_no_flood() {
        let many = 5 * MOST_EMPTY as usize;
        assert!(after(many, &frame(DATA, 0, b"x"), 4096, 0).await.is_ok());
        assert!(
            after(many, &frame(DATA, END_STREAM, b""), 4096, 0)
                .await
                .is_ok()
        );
        assert!(after(many, &frame(HEADERS, 0, b"x"), 4096, 0).await.is_ok());
        let asked_and_left = [frame(HEADERS, 0, b"x"), frame(RESET, 0, &[0; 4])].concat();
        assert!(after(many, &asked_and_left, 4096, 0).await.is_ok());
        let update = frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]);
        let written = many * usize::try_from(LEAST_UPDATED).unwrap();
        assert!(after(many, &update, 4096, written).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_now_and_then_is_no_flood() {
        let (mut client, server) = duplex(1 << 20);
        let mut server = Http2Stream::new(server);
        client.write_all(&[0; PREFACE]).await.unwrap();
        server.read_exact(&mut [0; PREFACE]).await.unwrap();
        for _ in 0..10 {
            let pings = frame(PING, 0, &[0; 8]).repeat(MOST_EMPTY as usize);
            client.write_all(&pings).await.unwrap();
            server.read_exact(&mut vec![0; pings.len()]).await.unwrap();
            tokio::time::advance(WINDOW).await;
        }
    }
}
