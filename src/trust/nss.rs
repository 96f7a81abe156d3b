//! One certificate database of NSS, which Chromium and Firefox read on Linux.
//!
//! The surprise: a database knows a certificate by one nickname only, and keeps the first. One that was imported by
//! hand is found under its own.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::{CaCertificate, NAME};
use super::report::{StoreChange, StoreError, StoreReport};
use super::tool;

/// The file that makes a folder a database.
pub(super) const DATABASE: &str = "cert9.db";
/// Trusted to vouch for servers, and for nothing else.
const TRUST: &str = "C,,";
/// How many nicknames are tried at a removal.
const MOST: usize = 16;

/// A database in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NssDatabase {
    /// Whose it is: `Chromium`, `Firefox`.
    pub browser: &'static str,
    /// Its folder; it is made where it is missing.
    pub folder: PathBuf,
}

/// A certificate as a database lists it.
struct Listed {
    nickname: String,
    is_trusted: bool,
}

impl NssDatabase {
    pub(super) fn install(&self, ca: &CaCertificate) -> StoreReport {
        self.report(self.add(ca))
    }

    pub(super) fn remove(&self, ca: &CaCertificate) -> StoreReport {
        self.report(self.delete(ca))
    }

    fn report(&self, change: Result<StoreChange, StoreError>) -> StoreReport {
        StoreReport {
            store: self.browser,
            place: self.folder.display().to_string(),
            change,
        }
    }

    fn add(&self, ca: &CaCertificate) -> Result<StoreChange, StoreError> {
        if !self.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)?;
            self.certutil(&["-N", "--empty-password"])?;
        }
        match self.find(ca)? {
            Some(found) if found.is_trusted => return Ok(StoreChange::AlreadyThere),
            Some(found) => self.certutil(&["-M", "-n", &found.nickname, "-t", TRUST])?,
            None => {
                let file = ca.file().to_string_lossy();
                self.certutil(&["-A", "-n", &ca.nickname(), "-t", TRUST, "-i", &file])?
            }
        };
        let is_trusted = self.find(ca)?.is_some_and(|found| found.is_trusted);
        is_trusted
            .then_some(StoreChange::Added)
            .ok_or(StoreError::Unchanged)
    }

    fn delete(&self, ca: &CaCertificate) -> Result<StoreChange, StoreError> {
        if !self.exists() {
            return Ok(StoreChange::NotThere);
        }
        let mut change = StoreChange::NotThere;
        for _ in 0..MOST {
            let Some(found) = self.find(ca)? else {
                return Ok(change);
            };
            self.certutil(&["-D", "-n", &found.nickname])?;
            change = StoreChange::Removed;
        }
        Err(StoreError::Unchanged)
    }

    fn exists(&self) -> bool {
        self.folder.join(DATABASE).exists()
    }

    /// The certificate in the database, whatever it is called there.
    fn find(&self, ca: &CaCertificate) -> Result<Option<Listed>, StoreError> {
        for listed in listed(&self.certutil(&["-L"])?) {
            // Others of the same subject follow it.
            let text = self.certutil(&["-L", "-n", &listed.nickname, "-a"])?;
            let first = CertificateDer::from_pem_slice(text.as_bytes());
            if first.is_ok_and(|der| *der == *ca.der()) {
                return Ok(Some(listed));
            }
        }
        Ok(None)
    }

    fn certutil(&self, arguments: &[&str]) -> Result<String, StoreError> {
        let database = format!("sql:{}", self.folder.display());
        let words = ["certutil", "-d", &database];
        tool::run(&[&words[..], arguments].concat())
    }
}

/// Those of a listing that may be ours: a line has the nickname, spaces, and three groups of flags.
fn listed(text: &str) -> impl Iterator<Item = Listed> {
    text.lines().filter_map(|line| {
        let (nickname, flags) = line.trim_end().rsplit_once(' ')?;
        let (nickname, servers) = (nickname.trim_end(), flags.split(',').next()?);
        (nickname.starts_with(NAME) && flags.matches(',').count() == 2).then(|| Listed {
            nickname: nickname.to_owned(),
            is_trusted: servers.contains('C'),
        })
    })
}
