//! The folder of the local CA: locked while it is changed, each file whole or not there.
//!
//! Called by `local_ca`. The lock is on the folder itself, so that no lock file is left in the
//! user's repository.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::TlsError;
use crate::state_folder;

/// The folder, while this process alone may change it.
pub(super) struct LockedFolder {
    path: PathBuf,
    // Closing the folder releases the lock.
    _lock: File,
}

/// Who may read a file.
#[derive(Clone, Copy)]
pub(super) enum Readers {
    /// The gateway's user.
    Owner,
    /// Everybody.
    All,
}

impl LockedFolder {
    /// Makes the folder where it is missing, and waits until no other gateway changes it.
    pub(super) fn lock(path: &Path) -> Result<Self, TlsError> {
        make(path).map_err(|source| TlsError::write(path, source))?;
        let folder = File::open(path).map_err(|source| TlsError::write(path, source))?;
        flock(&folder, FlockOperation::LockExclusive)
            .map_err(|source| TlsError::write(path, source.into()))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: folder,
        })
    }

    /// Writes a file beside its place and moves it there, so that nobody sees half of it.
    pub(super) fn write(&self, name: &str, text: &str, readers: Readers) -> Result<(), TlsError> {
        let target = self.path.join(name);
        self.replace(&target, text, readers)
            .map_err(|source| TlsError::write(&target, source))
    }

    /// Closes a key to others, which copying a folder may have opened.
    pub(super) fn close_to_others(&self, name: &str) {
        let path = self.path.join(name);
        let open = fs::metadata(&path).is_ok_and(|found| found.mode() & 0o077 != 0);
        if open && fs::set_permissions(&path, Permissions::from_mode(0o600)).is_ok() {
            tracing::warn!(key = %path.display(), "a key was open to others; its mode is 0600 now");
        }
    }

    fn replace(&self, target: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
        // Made with 0600, before the first byte is in it.
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(text.as_bytes())?;
        if let Readers::All = readers {
            file.as_file()
                .set_permissions(Permissions::from_mode(0o644))?;
        }
        file.as_file().sync_all()?;
        file.persist(target)?;
        Ok(())
    }
}

/// Makes the folder where it is missing; one that is the gateway's alone stays out of the user's
/// repository, keys and all.
fn make(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    state_folder::keep_out_of_git(path)
}
