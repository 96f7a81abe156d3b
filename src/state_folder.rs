//! The folder `.gatepost/` beside `gateway.toml`: what the gateway keeps from one run to the next, and
//! shares with Django's package on the same machine.
//!
//! All that is in it has its path from here, and is written by [`write()`]. The folder is the gateway's
//! user's alone, and keeps itself out of the project's repository. The package's half is
//! `python/gatepost/state.py`; `rungateway.json` is its own.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

const NAME: &str = ".gatepost";

/// The folder's place. The default: in the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

impl Default for StateFolder {
    fn default() -> Self {
        Self::beside(Path::new(""))
    }
}

impl StateFolder {
    /// The one in the folder of `gateway.toml`.
    pub fn beside(folder: &Path) -> Self {
        Self {
            path: folder.join(NAME),
        }
    }

    /// The folder itself, where bodies that memory does not hold have files without names.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret of a development installation.
    pub fn secret(&self) -> PathBuf {
        self.path.join("secret")
    }

    /// What the next gateway may rely upon.
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// Which topics were revoked.
    pub fn topics(&self) -> PathBuf {
        self.path.join("topics")
    }

    /// The id of the process that runs.
    pub fn pid(&self) -> PathBuf {
        self.path.join("pid")
    }

    /// Where its internal listener is, and what its operator calls it with.
    pub fn internal(&self) -> PathBuf {
        self.path.join("internal")
    }

    /// The maintenance that is on, which survives a restart.
    pub fn maintenance(&self) -> PathBuf {
        self.path.join("maintenance")
    }

    /// The keys of session tickets.
    pub fn tickets(&self) -> PathBuf {
        self.path.join("tickets")
    }

    /// Account, keys and certificates by ACME: a folder.
    pub fn acme(&self) -> PathBuf {
        self.path.join("acme")
    }

    /// How far the transactional outbox was pulled.
    pub fn cursor(&self) -> PathBuf {
        self.path.join("outbox")
    }
}

/// The folder that a file is in, made where it is missing.
pub fn make_for(file: &Path) -> io::Result<&Path> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make(folder)?;
    Ok(folder)
}

/// Makes a folder where it is missing: the state folder for its owner alone and out of the repository,
/// another one, which somebody has named in `gateway.toml`, as folders are made.
pub fn make(folder: &Path) -> io::Result<()> {
    if !folder.ends_with(NAME) {
        return fs::create_dir_all(folder);
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    // In a folder that cannot be written, what is to be written next says so.
    let _ = keep_out_of_git(folder);
    Ok(())
}

/// Has git pass over a folder and all that is in it.
pub fn keep_out_of_git(folder: &Path) -> io::Result<()> {
    let ignored = folder.join(".gitignore");
    if ignored.exists() {
        return Ok(());
    }
    fs::write(ignored, "*\n")
}

/// Writes a file, mode 0600, that appears whole or not at all, in the place of one that may be there.
pub fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    prepare(file, content)?.persist(file)?;
    Ok(())
}

/// The same where there is none yet; one that somebody else made meanwhile is left as it is.
pub fn write_new(file: &Path, content: &[u8]) -> io::Result<()> {
    match prepare(file, content)?.persist_noclobber(file) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

fn prepare(file: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    // Made 0600 by tempfile.
    let mut prepared = NamedTempFile::new_in(make_for(file)?)?;
    prepared.write_all(content)?;
    Ok(prepared)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_is_its_owners_alone_and_out_of_the_repository() {
        let project = tempfile::tempdir().unwrap();
        let state = StateFolder::beside(project.path());
        write(&state.leases(), b"kept").unwrap();
        assert_eq!(mode(state.path()), 0o700);
        assert_eq!(mode(&state.leases()), 0o600);
        let ignored = fs::read_to_string(state.path().join(".gitignore"));
        assert_eq!(ignored.unwrap(), "*\n");
    }

    #[test]
    fn one_that_something_else_made_is_kept_out_of_the_repository_too() {
        let project = tempfile::tempdir().unwrap();
        let state = StateFolder::beside(project.path());
        fs::create_dir(state.path()).unwrap();
        make_for(&state.cursor()).unwrap();
        assert!(state.path().join(".gitignore").exists());
    }

    #[test]
    fn a_folder_that_somebody_named_is_left_as_folders_are() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("far/away");
        write(&folder.join("cursor"), b"kept").unwrap();
        assert_eq!(folder.read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_or_left_as_was_asked() {
        let project = tempfile::tempdir().unwrap();
        let file = StateFolder::beside(project.path()).secret();
        for content in ["first", "second"] {
            write_new(&file, content.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
        write(&file, b"third").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "third");
        assert_eq!(file.parent().unwrap().read_dir().unwrap().count(), 2);
    }
}
