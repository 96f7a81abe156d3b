//! What the standard library does not ask the file system.
//!
//! The surprise: [`look`] and [`read_cached`] run on the runtime's own threads. They answer only
//! from the kernel's memory, and where that does not have it (a cold file, a network file system),
//! or the system cannot be asked so (before Linux 5.12), they say that instead of waiting.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use super::identity::FileIdentity;

/// What a look at a path finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A file in this state.
    At(FileIdentity),
    /// Nothing, or nothing that the kernel has in memory.
    Nothing,
    /// This system cannot look without waiting.
    Unable,
}

/// Opens a regular file by a path without links; one that has got a link meanwhile is refused.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // A pipe in its place would otherwise be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open_without_links(path, flags)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

#[cfg(target_os = "linux")]
fn open_without_links(path: &Path, flags: OFlags) -> io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{CWD, ResolveFlags, openat2};

    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Unknown to the kernel, or forbidden by a container that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => Ok(rustix::fs::open(path, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(path: &Path, flags: OFlags) -> io::Result<rustix::fd::OwnedFd> {
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// What is at `path` now, after every link, as far as the kernel knows without waiting.
#[cfg(target_os = "linux")]
pub(super) fn look(path: &Path) -> Look {
    use rustix::fs::{AtFlags, CWD, ResolveFlags, StatxFlags, makedev, openat2, statx};

    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
        Ok(found) => found,
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => return Look::Unable,
        Err(_) => return Look::Nothing,
    };
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(found) = statx(found, "", flags, StatxFlags::BASIC_STATS) else {
        return Look::Nothing;
    };
    let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
    Look::At(FileIdentity {
        device: makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        length: found.stx_size,
        modified: time(found.stx_mtime),
        changed: time(found.stx_ctime),
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look(_: &Path) -> Look {
    Look::Unable
}

/// Reads what the kernel has in memory; `None` where it would have to be waited for.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut list = [io::IoSliceMut::new(buffer)];
    match preadv2(file, &mut list, at, ReadWriteFlags::NOWAIT) {
        // The end of the file, or an error: for the read that waits to say.
        Ok(0) | Err(_) => None,
        Ok(count) => Some(count),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_look_follows_links_and_tells_what_has_taken_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("one"), "1").unwrap();
        fs::write(path("two"), "2").unwrap();
        symlink("one", path("link")).unwrap();
        let identity = |name: &str| Look::At(FileIdentity::of(&fs::metadata(path(name)).unwrap()));
        // The kernel forgets what nobody uses when memory is short, and does not find what it has while another
        // process renames something.
        let look_again = |name: &str| {
            let mut looks = (0..10_000).map(|_| {
                fs::metadata(path(name)).unwrap();
                look(&path(name))
            });
            looks.find(|seen| *seen != Look::Nothing)
        };
        let first = look_again("link").unwrap();
        if first == Look::Unable {
            // Then the time decides.
            return;
        }
        assert_eq!(first, identity("one"));
        symlink("two", path("other")).unwrap();
        fs::rename(path("other"), path("link")).unwrap();
        assert_eq!(look_again("link"), Some(identity("two")));
        fs::remove_file(path("two")).unwrap();
        assert_eq!(look(&path("link")), Look::Nothing);
        assert_eq!(look(&path("one/more")), Look::Nothing);
    }

    #[test]
    fn links_pipes_and_folders_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/file"), "text").unwrap();
        symlink("folder", path("link")).unwrap();
        symlink("folder/file", path("file")).unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        assert!(open(&root.join("folder/file")).is_ok());
        assert!(open(&root.join("folder")).is_err());
        assert!(open(&root.join("file")).is_err());
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, FileType, mknodat};
            let mode = Mode::RUSR | Mode::WUSR;
            mknodat(CWD, path("pipe"), FileType::Fifo, mode, 0).unwrap();
            assert!(open(&root.join("pipe")).is_err());
        }
    }
}
