//! The folder of the socket between gateway and Django's server, closed to every other user.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::{Builder, TempDir};

/// A longer path cannot be bound: `sun_path` has 108 bytes with a final NUL.
const LONGEST_PATH: usize = 107;

/// A folder of mode 0700 in the system's own for what is temporary, gone when dropped.
///
/// Not beside `gateway.toml`: shared folders of containers often take no sockets.
#[derive(Debug)]
pub struct PrivateFolder(TempDir);

impl PrivateFolder {
    /// A new one.
    pub fn make() -> io::Result<Self> {
        let only_owner = Permissions::from_mode(0o700);
        let folder = Builder::new()
            .prefix("gatepost-")
            .permissions(only_owner)
            .tempdir()?;
        let made = Self(folder);
        let length = made.socket().as_os_str().len();
        if length > LONGEST_PATH {
            let message = format!(
                "the path {} has {length} bytes, a Unix socket's has at most {LONGEST_PATH}: set TMPDIR to a shorter folder",
                made.socket().display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        Ok(made)
    }

    /// Where the server listens.
    pub fn socket(&self) -> PathBuf {
        self.0.path().join("app.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_its_owner_alone_and_leaves_nothing() {
        let folder = PrivateFolder::make().unwrap();
        let path = folder.socket().parent().unwrap().to_owned();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }
}
