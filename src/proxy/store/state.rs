//! What a store holds, and where the next part goes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::super::buffer::{AnswerStanding, Pieces, Room, ScratchFile};
use crate::web::body::BodyError;

/// How much is read from a file at a time.
const BATCH: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct StoreState {
    /// Comes before the file.
    pieces: Pieces,
    file: Option<ScratchFile>,
    written: u64,
    read: u64,
    taken: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    end: Option<Result<(), BodyError>>,
    reader: Option<Waker>,
    pub(super) room: Room,
    is_cut_off: bool,
}

/// Others needed the room.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off, since there is no room left and its client is slow")]
pub(super) struct CutOff;

/// Where the next part goes.
pub(super) enum PartTarget {
    /// It is in memory, or wanted no more.
    Taken,
    /// To the file, at this offset.
    File(u64),
    /// Nowhere, until some was taken.
    None,
}

impl StoreState {
    /// Nothing yet.
    pub(super) fn new(room: Room) -> Self {
        Self {
            pieces: Pieces::default(),
            file: None,
            written: 0,
            read: 0,
            taken: 0,
            reading: None,
            end: None,
            reader: None,
            room,
            is_cut_off: false,
        }
    }

    /// How much was taken, and how much is on disk.
    pub(super) fn standing(&self) -> AnswerStanding {
        AnswerStanding {
            taken: self.taken,
            on_disk: self.room.disk(),
        }
    }

    /// The file, where there is one.
    pub(super) fn file(&self) -> Option<ScratchFile> {
        self.file.clone()
    }

    /// Writes to this file from now on.
    pub(super) fn use_file(&mut self, file: &ScratchFile) {
        if !self.is_cut_off {
            self.file = Some(file.clone());
        }
    }

    /// This much more is in the file, or could not be written.
    pub(super) fn wrote(&mut self, length: Option<u64>) {
        match length {
            Some(length) => self.written += length,
            None => self.room.shrink_disk(self.written),
        }
        self.wake();
    }

    /// No more comes.
    pub(super) fn end(&mut self, end: Result<(), BodyError>) {
        self.end.get_or_insert(end);
        self.wake();
    }

    /// Finds a place for a part, and takes it where that is memory.
    pub(super) fn destination(&mut self, part: &Bytes, in_memory: u64) -> PartTarget {
        if self.is_cut_off {
            return PartTarget::Taken;
        }
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

    /// Keeps nothing any more. Returns how much was taken.
    pub(super) fn cut_off(&mut self) -> u64 {
        self.is_cut_off = true;
        self.pieces = Pieces::default();
        (self.file, self.reading) = (None, None);
        self.room.shrink_memory(0);
        self.room.shrink_disk(0);
        self.end = Some(Err(CutOff.into()));
        self.wake();
        self.taken
    }

    /// All of the file was taken: what it uses of the disk is free again.
    fn drop_file(&mut self) {
        if self.file.take().is_some() {
            (self.read, self.written) = (0, 0);
            self.room.shrink_disk(0);
        }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(piece) = self.pieces.pop() {
            self.room.shrink_memory(self.pieces.length());
            self.taken += piece.len() as u64;
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
            self.taken += bytes.len() as u64;
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
