//! Files without names: they are gone with the process, whatever becomes of it.
//!
//! Used by `spool` and `store`. Everything here that touches a disk runs on a thread for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::state_folder;

/// Where files without names are made. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Scratch {
    folder: Arc<Path>,
}

/// A file without a name. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct ScratchFile(Arc<File>);

impl Scratch {
    /// Makes files in `folder`, which is made where it is missing; tries it once.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let scratch = Self {
            folder: folder.into(),
        };
        state_folder::make(folder)?;
        tempfile::tempfile_in(folder)?;
        Ok(scratch)
    }

    /// Makes files in `folder`, or where that cannot be written in the system's folder for temporary
    /// files: a folder that nobody asked for is no reason not to start.
    pub(super) fn open_or_temporary(folder: &Path) -> Self {
        Self::open(folder).unwrap_or_else(|error| {
            let instead = std::env::temp_dir();
            tracing::warn!(
                folder = %folder.display(),
                %error,
                instead = %instead.display(),
                "bodies that memory does not hold cannot be kept beside gateway.toml; set buffering.folder"
            );
            Self {
                folder: instead.into(),
            }
        })
    }

    /// A new file.
    pub(in crate::proxy) async fn create(&self) -> io::Result<ScratchFile> {
        let folder = PathBuf::from(&*self.folder);
        let made = spawn_blocking(move || {
            tempfile::tempfile_in(&folder).or_else(|error| {
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(error);
                }
                // Somebody has tidied up.
                state_folder::make(&folder)?;
                tempfile::tempfile_in(&folder)
            })
        });
        Ok(ScratchFile(Arc::new(made.await??)))
    }

    /// Where the files are, for errors.
    pub(in crate::proxy) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl ScratchFile {
    /// Writes pieces at `offset`. They come back, so that what failed can be tried again.
    pub(in crate::proxy) async fn write(
        &self,
        pieces: Vec<Bytes>,
        offset: u64,
    ) -> (Vec<Bytes>, io::Result<()>) {
        let file = Arc::clone(&self.0);
        let written = spawn_blocking(move || {
            let result = write_all(&file, &pieces, offset);
            (pieces, result)
        });
        // A task that only writes ends early only with the runtime.
        let lost = |error| (Vec::new(), Err(io::Error::other(error)));
        written.await.unwrap_or_else(lost)
    }

    /// Reads exactly `size` bytes at `offset`.
    pub(in crate::proxy) fn read(&self, offset: u64, size: usize) -> JoinHandle<io::Result<Bytes>> {
        let file = Arc::clone(&self.0);
        spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes.into())
        })
    }
}

fn write_all(file: &File, pieces: &[Bytes], mut offset: u64) -> io::Result<()> {
    for piece in pieces {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("buffers");
        let scratch = Scratch::open(&folder).unwrap();
        let file = scratch.create().await.unwrap();
        let pieces = vec![Bytes::from_static(b"he"), Bytes::from_static(b"llo")];
        let (_, written) = file.write(pieces, 2).await;
        written.unwrap();
        assert_eq!(file.read(3, 3).await.unwrap().unwrap(), "ell");
        assert_eq!(folder.read_dir().unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
        scratch.create().await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_nobody_asked_for_is_replaced() {
        let scratch = Scratch::open_or_temporary(Path::new("/proc/gatepost"));
        assert_eq!(scratch.folder(), std::env::temp_dir());
        assert!(Scratch::open(Path::new("/proc/gatepost")).is_err());
    }
}
