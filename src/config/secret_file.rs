//! Secrets in files: those a key names, and the one that development makes for itself.
//!
//! `django` reads the former, the composition root calls [`load_or_make`] for the latter. The
//! made file appears whole or not at all, because Django may look at the same moment.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::rand;

use super::error::{ConfigError, Location};
use crate::secret::{SHORTEST_SECRET, Secret, Secrets};
use crate::state_folder;

/// More than this is no secret but a wrong file.
const LONGEST_SECRET: u64 = 4096;

/// The bytes of a secret, without white space around them.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(LONGEST_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(format!(
            "{} is longer than {LONGEST_SECRET} bytes",
            path.display()
        ));
    }
    Ok(bytes.trim_ascii().to_owned())
}

/// The secret of a development installation, made (mode 0600) where there is none.
pub fn load_or_make(path: &Path) -> Result<Secrets, ConfigError> {
    let place = || Location::File(path.to_owned());
    if !path.exists() {
        make(path).map_err(|error| {
            ConfigError::new(
                place(),
                format!("cannot make the development secret: {error}"),
            )
            .hint(Some(
                "set the variable GATEPOST_SECRET, here and for Django, to do without the file",
            ))
        })?;
    }
    let bytes = read(path).map_err(|message| ConfigError::new(place(), message))?;
    if bytes.len() < SHORTEST_SECRET {
        let message = format!(
            "the secret has {} bytes, at least {SHORTEST_SECRET} are needed",
            bytes.len()
        );
        return Err(ConfigError::new(place(), message)
            .hint(Some("delete the file: a new one is made at the next start")));
    }
    Ok(Secrets {
        current: Secret::new(bytes),
        previous: None,
    })
}

fn make(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(io::Error::other)?;
    let mut text = String::with_capacity(65);
    for byte in random {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    // If another process was faster, its secret is as good.
    state_folder::write_new(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gatepost/secret");
        let made = load_or_make(&path).unwrap();
        let again = load_or_make(&path).unwrap();
        assert!(made.current.matches(again.current.expose()));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 65);
        assert!(text.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert_eq!(
            fs::read_to_string(folder.path().join(".gatepost/.gitignore")).unwrap(),
            "*\n"
        );
    }

    #[test]
    fn a_damaged_secret_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "short\n").unwrap();
        let error = load_or_make(&path).unwrap_err().to_string();
        assert!(
            error.contains("has 5 bytes") && error.contains("delete the file"),
            "{error}"
        );
    }
}
