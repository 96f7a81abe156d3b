//! Where bodies are kept that have to wait: in memory, then in files without names, both bounded in
//! all and for one address.
//!
//! Made once by the composition root, used by `spool` for requests and by `store` for answers. The
//! space is counted before it is used, also that of a part still on its way.

mod kept;
mod pieces;
mod room;
mod scratch;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use self::kept::KeptAnswers;
use self::room::Quotas;
pub(super) use kept::{AnswerStanding, KeptAnswer, Loudness};
pub(super) use pieces::Pieces;
pub(super) use room::{ROOM_LIMIT, Room, RoomSeeker};
pub(super) use scratch::{Scratch, ScratchFile};

use super::quota::{Bounds, Quota};
use crate::config::{BufferFolder, BufferingConfig};
use crate::telemetry::metrics::{BufferedBytes, PlaceLabel};

/// Requests that may wait for room, and those of one address. Each has a connection or a stream.
const MOST_WAITING: (usize, usize) = (4096, 1024);

/// The space for bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Buffering {
    shared: Arc<BufferingInner>,
}

#[derive(Debug)]
struct BufferingInner {
    quotas: Quotas,
    scratch: Scratch,
    kept: KeptAnswers,
    request: u64,
    response: u64,
    next: AtomicU64,
}

/// Files cannot be made where they were asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep bodies in buffering.folder, {}: {error}", folder.display())]
pub struct BufferingError {
    folder: PathBuf,
    error: io::Error,
}

impl Buffering {
    /// All of it is free; what is in use is shown by `in_use`. Finds out whether files can be made.
    pub fn open(config: &BufferingConfig, in_use: &BufferedBytes) -> Result<Self, BufferingError> {
        let scratch = match &config.folder {
            BufferFolder::Given(folder) => {
                Scratch::open(folder).map_err(|error| BufferingError {
                    folder: folder.clone(),
                    error,
                })?
            }
            BufferFolder::Default(folder) => Scratch::open_or_temporary(folder),
        };
        let quota = |place, total, each| {
            let gauge = in_use.get_or_create_owned(&PlaceLabel { r#where: place });
            let bounds = Bounds {
                total,
                each,
                waiting: MOST_WAITING.0,
                waiting_each: MOST_WAITING.1,
            };
            Quota::shown_by(gauge, bounds)
        };
        let shared = BufferingInner {
            quotas: Quotas {
                memory: quota("memory", config.memory, config.memory_share()),
                disk: quota("disk", config.disk, config.disk_share()),
            },
            scratch,
            kept: KeptAnswers::new(),
            request: config.request,
            response: config.response,
            next: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Room for a body of this client's, which has none yet.
    pub(super) fn room(&self, client: IpAddr) -> Room {
        let age = self.shared.next.fetch_add(1, Ordering::Relaxed);
        Room::new(&self.shared.quotas, client, age)
    }

    /// Keeps an answer in this room, until [`Self::forget`].
    pub(super) fn keep(&self, room: &Room, answer: Weak<dyn KeptAnswer>) {
        self.shared
            .kept
            .enter(room.number(), room.address(), answer);
    }

    /// The answer of this number is kept no more.
    pub(super) fn forget(&self, number: u64) {
        self.shared.kept.leave(number);
    }

    /// Cuts off an answer to make room on disk for `seeker`. `false`: no client takes its answer slowly.
    pub(super) fn make_way(&self, seeker: &RoomSeeker) -> bool {
        self.shared.kept.make_way(seeker, &self.shared.quotas.disk)
    }

    /// Makes files.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.shared.scratch
    }

    /// Bytes of one request that are kept in memory.
    pub(super) fn request(&self) -> u64 {
        self.shared.request
    }

    /// Bytes of one answer that are kept in memory.
    pub(super) fn response(&self) -> u64 {
        self.shared.response
    }

    /// How much is in use, in memory and in files.
    #[cfg(test)]
    pub(super) fn used(&self) -> (u64, u64) {
        let quotas = &self.shared.quotas;
        (quotas.memory.used(), quotas.disk.used())
    }
}
