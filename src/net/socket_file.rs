//! Unix sockets and their files, which go with their listener.
//!
//! Used by `listener`.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

/// Who may open a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// The gateway's user alone.
    Owner,
    /// Its group too: a proxy is another user.
    Group,
}

/// The file of a Unix socket; goes with its listener, unless another process serves it then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
    stays: AtomicBool,
}

impl SocketFile {
    /// The file at this path.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            inode: inode(path),
            stays: AtomicBool::new(false),
        }
    }

    /// Is left where it is.
    pub(super) fn leave(&self) {
        self.stays.store(true, Ordering::Release);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another gateway may have taken the path over.
        let is_own = self.inode.is_some() && inode(&self.path) == self.inode;
        if is_own && !self.stays.load(Ordering::Acquire) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|found| found.ino())
}

/// Listens at a path, with so many clients that the kernel keeps.
pub(super) fn bind_unix(
    path: &Path,
    opened_by: OpenedBy,
    backlog: i32,
) -> io::Result<UnixListener> {
    let owner = Mode::RUSR | Mode::WUSR;
    let (mode, bits) = match opened_by {
        OpenedBy::Owner => (owner, 0o600),
        OpenedBy::Group => (owner | Mode::RGRP | Mode::WGRP, 0o660),
    };
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the mode of the socket, so that it is never open to others; elsewhere it
    // is closed right after.
    rustix::fs::fchmod(&socket, mode)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, PermissionsExt::from_mode(bits))?;
    socket.listen(backlog)?;
    UnixListener::from_std(socket.into())
}

/// Removes the socket file of a gateway that is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}
