//! Sends a file that is too large to be kept.
//!
//! Made by `answer`. What the kernel has in memory is read on the spot, since a hop to another
//! thread costs more than the copy; only what must come from the disk is waited for on a blocking
//! thread. And what was promised is sent or the answer breaks off: bytes of a file that was cut or
//! written over meanwhile would be kept by the browser under the old one's name.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::disk;
use super::identity::FileIdentity;
use super::open::OpenFile;
use crate::web::body::BodyError;

/// Read on the spot at once: as much as TLS takes.
const CACHED: u64 = 64 * 1024;
/// Read on a blocking thread at once.
const COLD: u64 = 256 * 1024;

/// The beginning of a buffer.
struct Chunk {
    buffer: Arc<Vec<u8>>,
    length: usize,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Some bytes of an open file.
#[derive(Debug)]
pub(super) struct FileBody {
    file: Arc<OpenFile>,
    left: Range<u64>,
    /// Of the last read on the spot; used again once it is sent, so that it is zeroed only once.
    buffer: Arc<Vec<u8>>,
    /// Nothing of it is in memory, as far as this goes.
    is_cold: bool,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    pub(super) fn new(file: Arc<OpenFile>, bytes: Range<u64>) -> Self {
        Self {
            file,
            left: bytes,
            buffer: Arc::default(),
            is_cold: false,
            reading: None,
        }
    }

    /// Reads nothing on the spot.
    #[cfg(test)]
    pub(super) fn cold(mut self) -> Self {
        self.is_cold = true;
        self
    }

    /// How many bytes are read next, at most `most`.
    fn next(&self, most: u64) -> usize {
        let count = most.min(self.left.end - self.left.start);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The next bytes, if the kernel has them in memory.
    fn read_cached(&mut self) -> Option<Bytes> {
        let count = self.next(CACHED);
        if Arc::get_mut(&mut self.buffer).is_none_or(|buffer| buffer.len() < count) {
            self.buffer = Arc::new(vec![0; count]);
        }
        let buffer = Arc::get_mut(&mut self.buffer)?.get_mut(..count)?;
        let length = disk::read_cached(&self.file.file, buffer, self.left.start)?;
        let buffer = Arc::clone(&self.buffer);
        Some(Bytes::from_owner(Chunk { buffer, length }))
    }

    fn read_cold(&self) -> JoinHandle<io::Result<Bytes>> {
        let (file, at, count) = (Arc::clone(&self.file), self.left.start, self.next(COLD));
        tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; count];
            file.file.read_exact_at(&mut bytes, at)?;
            Ok(bytes.into())
        })
    }

    fn sent(&mut self, bytes: Bytes) -> io::Result<Frame<Bytes>> {
        self.left.start += bytes.len() as u64;
        if self.left.is_empty() {
            let now = FileIdentity::of(&self.file.file.metadata()?);
            if !self.file.identity.still_has(self.left.end, &now) {
                return Err(io::Error::other("it was written over while it was sent"));
            }
        }
        Ok(Frame::data(bytes))
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.reading.is_none()
            && !self.is_cold
            && let Some(bytes) = self.read_cached()
        {
            return Poll::Ready(Ok(bytes));
        }
        let cold = self.reading.take().unwrap_or_else(|| self.read_cold());
        let reading = self.reading.insert(cold);
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|failed| Err(io::Error::other(failed))))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let frame = ready!(self.poll_bytes(context)).and_then(|bytes| self.sent(bytes));
        Poll::Ready(Some(frame.map_err(|error| {
            let path = self.file.path.display();
            tracing::warn!(%path, %error, "a file was cut off while it was sent");
            self.left = 0..0;
            error.into()
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}
