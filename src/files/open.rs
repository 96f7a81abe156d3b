//! Files that are being sent: those too large to be kept in memory.
//!
//! Opened by `answer`, read by `body`. Bounded in number: a file that many clients load is open once.
//! What is said of a file in the answer's head is read off the open file, so that it fits the body
//! even where the path has got another file meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asset::Representation;
use super::disk;
use super::identity::FileIdentity;

/// Files that may be open at once by default.
const MOST: usize = 256;

/// The files that are open.
#[derive(Debug)]
pub struct OpenFiles {
    permits: Arc<Semaphore>,
    open: Mutex<HashMap<FileIdentity, Weak<OpenFile>>>,
}

/// A file that stays open while it is sent to anybody.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) identity: FileIdentity,
    pub(super) path: PathBuf,
    _permit: OwnedSemaphorePermit,
}

/// Why a file is not open.
#[derive(Debug)]
pub(super) enum Closed {
    /// As many as allowed are.
    TooMany,
    /// It is not there any more.
    Gone,
    /// It cannot be opened.
    Failed(io::Error),
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl OpenFiles {
    /// Lets this many be open at once.
    pub fn new(most: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))),
            open: Mutex::default(),
        }
    }

    /// Opens what was found at its path, and says what it is now.
    pub(super) async fn open(
        self: &Arc<Self>,
        found: &Representation,
    ) -> Result<(Arc<OpenFile>, Representation), Closed> {
        if let Some(open) = self.shared(&found.identity) {
            return Ok((open, found.clone()));
        }
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| Closed::TooMany)?;
        let (files, path) = (Arc::clone(self), found.path.clone());
        let opening = tokio::task::spawn_blocking(move || files.open_now(path, permit));
        match opening.await {
            Ok(Ok(open)) => {
                let now = Representation::new(open.path.clone(), open.identity, None);
                Ok((open, now))
            }
            Ok(Err(error)) => Err(Closed::from(error)),
            Err(failed) => Err(Closed::Failed(io::Error::other(failed))),
        }
    }

    fn open_now(&self, path: PathBuf, permit: OwnedSemaphorePermit) -> io::Result<Arc<OpenFile>> {
        let file = disk::open(&path)?;
        let identity = FileIdentity::of(&file.metadata()?);
        let mut open = self.lock();
        if let Some(open) = open.get(&identity).and_then(Weak::upgrade) {
            return Ok(open);
        }
        open.retain(|_, file| file.strong_count() > 0);
        let file = Arc::new(OpenFile {
            file,
            identity,
            path,
            _permit: permit,
        });
        open.insert(identity, Arc::downgrade(&file));
        Ok(file)
    }

    fn shared(&self, identity: &FileIdentity) -> Option<Arc<OpenFile>> {
        self.lock().get(identity)?.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileIdentity, Weak<OpenFile>>> {
        self.open.lock()
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            _ => Self::Failed(error),
        }
    }
}
