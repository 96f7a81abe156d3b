//! A request body on its way in, kept until it is whole: in memory, then in a file without a name.
//!
//! Used by `upload`. The surprise: WSGI servers give Django an empty body where no Content-Length
//! says how long it is, without any error, so such a body cannot be streamed (Django ticket 35838);
//! and a worker that has begun to read a body waits for its client, so none should be.

use std::convert::Infallible;
use std::future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::buffer::{Buffering, Pieces, ROOM_LIMIT, Room, RoomSeeker, ScratchFile};
use super::upload_fault::UploadFault;

/// Room in memory is taken in such steps, before it is read into.
const STEP: u64 = 16 * 1024;
/// How much is gathered in memory between two writes to a file, and read from it at a time.
const BATCH: u64 = 256 * 1024;
/// How long a request waits for room before an answer is cut off for it, and between two of them.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two attempts to write to a disk that is full.
const DISK_PAUSE: Duration = Duration::from_millis(250);

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Spool {
    /// What is in no file.
    pieces: Pieces,
    file: Option<ScratchFile>,
    written: u64,
    room: Room,
    buffering: Buffering,
}

/// A body that is whole. Read once, from the front.
#[derive(Debug)]
pub(super) struct Spooled {
    file: Option<ScratchFile>,
    written: u64,
    read: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// Comes behind the file.
    pieces: Pieces,
    _room: Room,
}

impl Spool {
    /// An empty one.
    pub(super) fn new(buffering: &Buffering, room: Room) -> Self {
        Self {
            pieces: Pieces::default(),
            file: None,
            written: 0,
            room,
            buffering: buffering.clone(),
        }
    }

    /// How much has come.
    pub(super) fn length(&self) -> u64 {
        self.written + self.pieces.length()
    }

    /// Waits until there is room for some more; `left` is how much may still come.
    pub(super) async fn make_room(&mut self, left: u64) -> Result<(), UploadFault> {
        if self.file.is_some() || !self.fits_in_memory() {
            self.make_room_on_disk(left).await?;
        }
        Ok(())
    }

    /// Keeps some more.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.pieces.push(piece);
    }

    /// The whole body.
    pub(super) fn finish(mut self) -> Spooled {
        self.room.shrink_disk(self.written);
        self.room.shrink_memory(self.pieces.length());
        Spooled {
            file: self.file,
            written: self.written,
            read: 0,
            reading: None,
            pieces: self.pieces,
            _room: self.room,
        }
    }

    fn fits_in_memory(&mut self) -> bool {
        let held = self.room.memory();
        if self.pieces.length() < held {
            return true;
        }
        let more = self.pieces.length() - held + STEP;
        let most = self.buffering.request().max(STEP);
        held + more <= most && self.room.try_memory(more)
    }

    async fn make_room_on_disk(&mut self, left: u64) -> Result<(), UploadFault> {
        let all = self.length();
        if self.room.disk() <= all {
            let more = all - self.room.disk() + left.clamp(1, BATCH);
            if !self.room.try_disk(more) {
                tracing::debug!("no room for bodies is left, a request waits unread");
                let seeker = self.room.seeker(more);
                let waited = tokio::select! {
                    waited = self.room.wait_for_disk(more) => waited,
                    never = make_way(&self.buffering, seeker) => match never {},
                };
                waited.map_err(|_| UploadFault::NoRoom)?;
            }
        }
        // A body of which nothing has come has no file either.
        let kept = self.pieces.length();
        if kept > 0 && kept >= self.room.memory().min(BATCH) {
            self.write().await?;
            self.room.shrink_memory(BATCH);
        }
        Ok(())
    }

    /// Writes what is in memory. A disk that is full is waited for like room.
    async fn write(&mut self) -> Result<(), UploadFault> {
        let began = Instant::now();
        let length = self.pieces.length();
        let mut pieces = self.pieces.take();
        loop {
            let result;
            (pieces, result) = self.try_write(pieces).await;
            let Err(error) = result else {
                self.written += length;
                return Ok(());
            };
            if !is_full(&error) || began.elapsed() >= ROOM_LIMIT {
                let folder = self.buffering.scratch().folder().to_owned();
                return Err(UploadFault::Spool { folder, error });
            }
            if began.elapsed() >= PATIENCE {
                self.buffering.make_way(&self.room.seeker(0));
            }
            tokio::time::sleep(DISK_PAUSE).await;
        }
    }

    async fn try_write(&mut self, pieces: Vec<Bytes>) -> (Vec<Bytes>, io::Result<()>) {
        let file = match &self.file {
            Some(file) => file,
            None => match self.buffering.scratch().create().await {
                Ok(file) => self.file.insert(file),
                Err(error) => return (pieces, Err(error)),
            },
        };
        file.write(pieces, self.written).await
    }
}

/// Has one slow answer after the other make room, where all of it is used up. A request whose address has
/// used up its own share waits for that share.
async fn make_way(buffering: &Buffering, seeker: RoomSeeker) -> Infallible {
    if seeker.is_in_its_own_way() {
        return future::pending().await;
    }
    loop {
        tokio::time::sleep(PATIENCE).await;
        buffering.make_way(&seeker);
    }
}

/// Whether somebody may make room.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl Spooled {
    /// How much is still to be read.
    pub(super) fn left(&self) -> u64 {
        self.written - self.read + self.pieces.length()
    }

    /// The next part.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let file = match &self.file {
            Some(file) if self.read < self.written => file,
            _ => return Poll::Ready(self.pieces.pop().map(Ok)),
        };
        let size = usize::try_from((self.written - self.read).min(BATCH)).unwrap_or_default();
        let reading = self
            .reading
            .get_or_insert_with(|| file.read(self.read, size));
        let result = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let result = result.map_err(io::Error::from).flatten();
        if let Ok(bytes) = &result {
            self.read += bytes.len() as u64;
        }
        Poll::Ready(Some(result))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::config::{BufferFolder, BufferingConfig};
    use crate::telemetry::metrics::BufferedBytes;

    fn buffering(config: BufferingConfig) -> Buffering {
        let folder = BufferFolder::Given(std::env::temp_dir());
        Buffering::open(
            &BufferingConfig { folder, ..config },
            &BufferedBytes::default(),
        )
        .unwrap()
    }

    async fn through(buffering: &Buffering, parts: &[&[u8]]) -> Result<Vec<u8>, UploadFault> {
        let mut spool = Spool::new(buffering, buffering.room([192, 0, 2, 1].into()));
        for (index, part) in parts.iter().enumerate() {
            let left = parts[index..].concat().len();
            spool.make_room(left as u64).await?;
            spool.push(Bytes::copy_from_slice(part));
        }
        let mut spooled = spool.finish();
        assert_eq!(spooled.left(), parts.concat().len() as u64);
        let mut whole = Vec::new();
        while let Some(part) = poll_fn(|context| spooled.poll_next(context)).await {
            whole.extend_from_slice(&part.unwrap());
        }
        assert_eq!(spooled.left(), 0);
        Ok(whole)
    }

    #[tokio::test]
    async fn a_small_body_stays_in_memory() {
        let buffering = buffering(BufferingConfig {
            disk: 4,
            ..BufferingConfig::default()
        });
        let parts: [&[u8]; 3] = [b"ab", b"", b"c"];
        assert_eq!(through(&buffering, &parts).await.unwrap(), b"abc");
        assert_eq!(through(&buffering, &[]).await.unwrap(), b"");
        assert_eq!(buffering.used(), (0, 0));
    }

    #[tokio::test]
    async fn a_large_body_comes_back_whole_from_a_file() {
        for memory in [1, 200_000, 4 << 20] {
            let buffering = buffering(BufferingConfig {
                memory,
                request: 300_000,
                ..BufferingConfig::default()
            });
            let part: Vec<u8> = (0..200_003_u32).map(|n| n.to_le_bytes()[0]).collect();
            let parts = [&part[..], b"x", &part, &part, b"", &part];
            let whole = through(&buffering, &parts).await.unwrap();
            assert!(whole == parts.concat(), "memory {memory}");
            assert_eq!(buffering.used(), (0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_room_waits_is_refused_and_leaves_nothing_behind() {
        let buffering = buffering(BufferingConfig {
            request: 1000,
            disk: 1 << 20,
            ..BufferingConfig::default()
        });
        let part = vec![b'x'; 100_000];
        let mut another = buffering.room([192, 0, 2, 1].into());
        assert!(another.try_disk(100_000));
        let began = Instant::now();
        let fault = through(&buffering, &[&part[..]; 2]).await.unwrap_err();
        assert!(matches!(fault, UploadFault::NoRoom), "{fault}");
        assert!(began.elapsed() >= ROOM_LIMIT);
        assert_eq!(buffering.used(), (0, 100_000));
        drop(another);
        assert_eq!(
            through(&buffering, &[&part[..]; 2]).await.unwrap().len(),
            200_000
        );
    }
}
