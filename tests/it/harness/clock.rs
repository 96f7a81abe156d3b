//! A wall clock that a test sets, for a process of its own.
//!
//! By libfaketime, which scripts/install-faketime.sh installs. The clock that only goes on, by which time-outs are
//! measured, stays the machine's, as it does where an administrator sets the time.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The wall clock of a process.
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// One that is so many seconds ahead of the machine's.
    pub fn ahead(seconds: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Self { folder };
        clock.set_ahead(seconds);
        clock
    }

    /// Sets it, while it is in use.
    pub fn set_ahead(&self, seconds: i64) {
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    /// What a process needs among its variables.
    pub fn variables(&self) -> [(&'static str, OsString); 5] {
        [
            ("LD_PRELOAD", library().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut found = folders.map(|folder| folder.path().join(LIBRARY));
    let found = found.find(|file| file.exists());
    found.expect("libfaketime: run scripts/install-faketime.sh")
}
