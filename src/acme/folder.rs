//! What is kept of an authority: the account, and for each name key and certificate.
//!
//! Used by `keeper` and `account`. Each authority has a folder of its own, so that what a test directory has
//! issued is never served once the real one is asked.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::AcmeError;
use crate::state_folder;
use crate::tls::issued::IssuedCertificate;

/// Where it is kept: mode 0700, each file 0600 and whole.
#[derive(Clone, Debug)]
pub(super) struct AcmeFolder {
    path: PathBuf,
    /// The names of the configuration and those by demand have a folder each, since a certificate by demand says that
    /// Django has allowed its name. One that is in the other's is served all the same, once its name is known.
    other: PathBuf,
}

/// Where certificates of names by demand are, in the folder of their authority.
const BY_DEMAND: &str = "by-demand";

impl AcmeFolder {
    /// Makes it where it is missing.
    pub(super) fn open(folder: &Path, directory: &str) -> Result<Self, AcmeError> {
        let path = folder.join(folder_name(directory));
        make(folder, &path).map_err(|source| AcmeError::Folder {
            path: path.clone(),
            source,
        })?;
        let other = path.join(BY_DEMAND);
        Ok(Self { path, other })
    }

    /// That of names by demand; makes it where it is missing.
    pub(super) fn by_demand(&self) -> Result<Self, AcmeError> {
        let (path, other) = (self.other.clone(), self.path.clone());
        make(&self.path, &path).map_err(|source| AcmeError::Folder {
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, other })
    }

    /// The names that have a certificate here.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let names = files.filter_map(|file| Some(file.strip_suffix(SUFFIX)?.to_owned()));
        names.collect()
    }

    /// Where the account is.
    pub(super) fn account_file(&self) -> PathBuf {
        self.path.join("account.json")
    }

    /// The account; `None` where there is none yet.
    pub(super) fn account(&self) -> Result<Option<Vec<u8>>, AcmeError> {
        let path = self.account_file();
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AcmeError::Folder { path, source }),
        }
    }

    /// Keeps an account.
    pub(super) fn keep_account(&self, text: &[u8]) -> Result<(), AcmeError> {
        let path = self.account_file();
        state_folder::write(&path, text).map_err(|source| AcmeError::Folder { path, source })
    }

    /// Lets go of an account that the authority does not know.
    pub(super) fn forget_account(&self) {
        // One that stays is refused again, and then said again.
        let _ = fs::remove_file(self.account_file());
    }

    /// The certificate of a name, where a usable one is kept.
    pub(super) fn certificate(&self, name: &str) -> Option<IssuedCertificate> {
        let read = |folder: &Path| {
            let text = fs::read_to_string(certificate_file(folder, name)).ok()?;
            IssuedCertificate::parse(&text).filter(|issued| issued.is_for(name))
        };
        read(&self.path).or_else(|| read(&self.other))
    }

    /// Lets go of the certificate of a name.
    pub(super) fn forget_certificate(&self, name: &str) {
        // One that stays has ended, and is found to have.
        let _ = fs::remove_file(certificate_file(&self.path, name));
    }

    /// Keeps the certificate of a name: one file, so that key and chain are never of two issues.
    pub(super) fn keep_certificate(&self, name: &str, pem: &str) -> Result<(), AcmeError> {
        let path = certificate_file(&self.path, name);
        let written = state_folder::write(&path, pem.as_bytes());
        written.map_err(|source| AcmeError::Folder { path, source })
    }
}

/// Of a certificate's file, behind the name.
const SUFFIX: &str = ".pem";

fn certificate_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

/// Host and path of a directory's URL, as one name.
fn folder_name(directory: &str) -> String {
    let bare = directory.trim_start_matches("https://");
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    bare.chars().map(plain).collect()
}

fn make(folder: &Path, path: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        state_folder::make(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in [folder, path] {
        let mode = fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            tracing::warn!(folder = %folder.display(), "keys were open to others; its mode is 0700 now");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_their_owners_alone_and_each_authority_has_its_own() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(".gatepost/acme");
        let real = AcmeFolder::open(&folder, "https://acme.example/directory").unwrap();
        let test = AcmeFolder::open(&folder, "https://acme.example:14000/dir").unwrap();
        real.keep_account(b"{}").unwrap();
        assert_eq!(mode(&real.account_file()), 0o600);
        assert_eq!(test.account().unwrap(), None);
        for folder in [
            &folder,
            &real.path,
            &test.path,
            &project.path().join(".gatepost"),
        ] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        AcmeFolder::open(&folder, "https://acme.example/directory").unwrap();
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn a_certificate_is_kept_with_its_key_and_a_broken_or_foreign_one_is_none() {
        let project = tempfile::tempdir().unwrap();
        let folder = AcmeFolder::open(&project.path().join("acme"), "https://a.example/").unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).unwrap();
        let pem = made.signing_key.serialize_pem() + &made.cert.pem();
        folder.keep_certificate("shop.test", &pem).unwrap();
        assert!(folder.certificate("shop.test").is_some());
        folder.keep_certificate("other.test", &pem).unwrap();
        assert!(folder.certificate("other.test").is_none());
        folder
            .keep_certificate("shop.test", &pem[..pem.len() / 2])
            .unwrap();
        assert!(folder.certificate("shop.test").is_none());
        assert!(folder.certificate("none.test").is_none());
    }
}
