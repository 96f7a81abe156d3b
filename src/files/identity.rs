//! Which file it is, and as of when: what tells a file from the one that has taken its place.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// One state of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileIdentity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) length: u64,
    pub(super) modified: Time,
    /// Also of its name and mode: a modification time can be set back, this one cannot.
    pub(super) changed: Time,
}

/// Seconds since 1970, and nanoseconds.
pub(super) type Time = (i64, i64);

impl FileIdentity {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the first `end` bytes of what was `self` are the same now. A file that has grown was
    /// most likely appended to; one that was moved away or unlinked is the same.
    pub(super) fn still_has(&self, end: u64, now: &Self) -> bool {
        match now.length {
            length if length == self.length => now.modified == self.modified,
            length => length >= end && length > self.length,
        }
    }
}
