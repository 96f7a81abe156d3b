//! What came of an answer and its client has not taken yet: in memory, then in a file without a name.
//!
//! `pump` fills it, `download` empties it. The surprise: it is never so full that nothing moves. With
//! no room left, one part at a time passes through, at the client's speed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::buffer::{Buffering, Pieces, Room, Scratch, ScratchFile};
use super::error::AnswerLabel;
use crate::telemetry::seldom::Once;
use crate::web::body::BodyError;

/// So much is read from a file at a time.
const BATCH: u64 = 64 * 1024;

/// What waits for a client. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Store {
    shared: Arc<StoreInner>,
}

#[derive(Debug)]
struct StoreInner {
    inner: Mutex<StoreState>,
    /// Some was taken.
    room: Notify,
    /// The client has gone.
    gone: CancellationToken,
    scratch: Scratch,
    in_memory: u64,
    label: AnswerLabel,
}

#[derive(Debug)]
struct StoreState {
    /// Comes before the file.
    pieces: Pieces,
    file: Option<ScratchFile>,
    written: u64,
    read: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    end: Option<Result<(), BodyError>>,
    reader: Option<Waker>,
    room: Room,
    complaint: Once,
}

/// Where the next part goes.
enum PartTarget {
    /// It is in memory.
    Taken,
    /// To the file, at this offset.
    File(u64),
    /// Nowhere, until some was taken.
    None,
}

impl Store {
    /// An empty one.
    pub(super) fn new(buffering: &Buffering, room: Room, label: AnswerLabel) -> Self {
        let inner = StoreState {
            pieces: Pieces::default(),
            file: None,
            written: 0,
            read: 0,
            reading: None,
            end: None,
            reader: None,
            room,
            complaint: Once::default(),
        };
        let shared = StoreInner {
            inner: Mutex::new(inner),
            room: Notify::new(),
            gone: CancellationToken::new(),
            scratch: buffering.scratch().clone(),
            in_memory: buffering.response(),
            label,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Keeps a part; waits where there is no room.
    pub(super) async fn put(&self, part: Bytes) {
        loop {
            let destination = self.lock().destination(&part, self.shared.in_memory);
            match destination {
                PartTarget::Taken => return,
                PartTarget::File(offset) if self.write(part.clone(), offset).await => return,
                PartTarget::File(_) | PartTarget::None => self.shared.room.notified().await,
            }
        }
    }

    /// No more comes: all of it has, or it broke off.
    pub(super) fn end(&self, end: Result<(), BodyError>) {
        let mut inner = self.lock();
        inner.end.get_or_insert(end);
        inner.wake();
    }

    /// The client wants no more.
    pub(super) fn leave(&self) {
        self.shared.gone.cancel();
    }

    /// Completes when the client wants no more.
    pub(super) async fn gone(&self) {
        self.shared.gone.cancelled().await;
    }

    /// The next part for the client.
    pub(super) fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut inner = self.lock();
        let next = ready!(inner.poll_next(context));
        drop(inner);
        self.shared.room.notify_one();
        Poll::Ready(next)
    }

    /// Whether a part was written. A disk that fails is no reason to cut an answer off: the part
    /// waits for its client instead.
    async fn write(&self, part: Bytes, offset: u64) -> bool {
        let length = part.len() as u64;
        let written = self.try_write(part, offset).await;
        let mut inner = self.lock();
        if let Err(error) = &written {
            let used = inner.written;
            inner.room.shrink_disk(used);
            if inner.complaint.is_first() {
                let (label, scratch) = (&self.shared.label, &self.shared.scratch);
                tracing::warn!(
                    upstream = label.upstream.as_ref().map(tracing::field::display),
                    request_id = %label.request_id,
                    folder = %scratch.folder().display(),
                    %error,
                    "cannot keep an answer, it waits for its client"
                );
            }
            return false;
        }
        inner.written += length;
        inner.wake();
        true
    }

    async fn try_write(&self, part: Bytes, offset: u64) -> io::Result<()> {
        let file = self.lock().file.clone();
        let file = match file {
            Some(file) => file,
            None => self.shared.scratch.create().await?,
        };
        self.lock().file = Some(file.clone());
        file.write(vec![part], offset).await.1
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        let inner = &self.shared.inner;
        inner.lock()
    }
}

impl StoreState {
    /// Finds a place for a part, and takes it where that is memory.
    fn destination(&mut self, part: &Bytes, in_memory: u64) -> PartTarget {
        let length = part.len() as u64;
        // Behind what is in the file only the file is next.
        if self.read == self.written {
            self.drop_file();
            let kept = self.pieces.length();
            let fits = kept + length <= in_memory && self.room.try_memory(length);
            if fits || kept == 0 {
                self.pieces.push(part.clone());
                self.wake();
                return PartTarget::Taken;
            }
        }
        if self.room.try_disk(length) {
            return PartTarget::File(self.written);
        }
        PartTarget::None
    }

    /// All of the file was taken: what it uses of the disk is free again.
    fn drop_file(&mut self) {
        if self.file.take().is_some() {
            (self.read, self.written) = (0, 0);
            self.room.shrink_disk(0);
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(piece) = self.pieces.pop() {
            self.room.shrink_memory(self.pieces.length());
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(file) = &self.file
            && self.read < self.written
        {
            let size = (self.written - self.read).min(BATCH);
            let size = usize::try_from(size).unwrap_or_default();
            let reading = self
                .reading
                .get_or_insert_with(|| file.read(self.read, size));
            let bytes = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            let bytes = bytes.map_err(io::Error::from).flatten()?;
            self.read += bytes.len() as u64;
            return Poll::Ready(Some(Ok(bytes)));
        }
        match self.end.take() {
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(())) => {
                self.end = Some(Ok(()));
                Poll::Ready(None)
            }
            None => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::future::poll_immediate;

    use super::*;
    use crate::config::{BufferFolder, BufferingConfig};
    use crate::ids::{NodeId, RequestId};

    fn buffering(memory: u64, disk: u64) -> Buffering {
        let config = BufferingConfig {
            response: 100_000,
            memory,
            disk,
            folder: BufferFolder::Given(std::env::temp_dir()),
            ..BufferingConfig::default()
        };
        Buffering::open(&config).unwrap()
    }

    fn store(buffering: &Buffering) -> Store {
        let label = AnswerLabel {
            upstream: None,
            request_id: RequestId::new(NodeId::random(), 1),
        };
        Store::new(buffering, buffering.room([192, 0, 2, 1].into()), label)
    }

    fn part(number: usize) -> Bytes {
        vec![b'a' + u8::try_from(number % 26).unwrap(); 40_000].into()
    }

    async fn next(store: &Store) -> Option<Result<Bytes, BodyError>> {
        poll_fn(|context| store.poll_next(context)).await
    }

    async fn rest(store: &Store) -> Vec<u8> {
        let mut rest = Vec::new();
        while let Some(part) = next(store).await {
            rest.extend_from_slice(&part.unwrap());
        }
        rest
    }

    fn parts(range: std::ops::Range<usize>) -> Vec<u8> {
        range.flat_map(part).collect()
    }

    #[tokio::test]
    async fn what_is_not_taken_is_kept_in_memory_and_then_in_a_file() {
        let buffering = buffering(4 << 20, 4 << 20);
        let store = store(&buffering);
        for number in 0..20 {
            store.put(part(number)).await;
        }
        assert_eq!(buffering.used(), (80_000, 18 * 40_000));
        assert_eq!(next(&store).await.unwrap().unwrap(), part(0));
        store.put(part(20)).await;
        store.end(Ok(()));
        assert!(rest(&store).await == parts(1..21));
        assert!(next(&store).await.is_none());
        drop(store);
        assert_eq!(buffering.used(), (0, 0));
    }

    #[tokio::test]
    async fn memory_comes_first_again_when_the_file_was_taken() {
        let buffering = buffering(4 << 20, 4 << 20);
        let store = store(&buffering);
        for round in 0..3 {
            for number in 0..5 {
                store.put(part(number)).await;
            }
            assert_eq!(buffering.used(), (80_000, 120_000), "round {round}");
            let mut taken = Vec::new();
            while taken.len() < 200_000 {
                taken.extend_from_slice(&next(&store).await.unwrap().unwrap());
            }
            assert!(taken == parts(0..5));
        }
    }

    #[tokio::test]
    async fn without_room_one_part_at_a_time_passes() {
        let buffering = buffering(4, 4);
        let store = store(&buffering);
        store.put(part(0)).await;
        let mut put = Box::pin(store.put(part(1)));
        assert!(poll_immediate(&mut put).await.is_none());
        assert_eq!(next(&store).await.unwrap().unwrap(), part(0));
        put.await;
        assert_eq!(next(&store).await.unwrap().unwrap(), part(1));
        assert_eq!(buffering.used(), (0, 0));
    }

    #[tokio::test]
    async fn what_broke_off_is_seen_to_break_off_behind_what_was_kept() {
        let buffering = buffering(4 << 20, 4 << 20);
        let store = store(&buffering);
        for number in 0..5 {
            store.put(part(number)).await;
        }
        store.end(Err("broken".into()));
        store.end(Ok(()));
        for _ in 0..2 {
            assert!(next(&store).await.unwrap().is_ok());
        }
        let mut last = next(&store).await;
        while last.as_ref().is_some_and(Result::is_ok) {
            last = next(&store).await;
        }
        assert_eq!(last.unwrap().unwrap_err().to_string(), "broken");
    }
}
