//! The store of the system, which curl, Python and most programs read; changing it takes root.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::CaCertificate;
use super::report::{StoreChange, StoreError, StoreReport};
use super::tool;

/// How systems keep the CAs of their owners: folder, ending, and what has them read after one came, and after one went.
const KNOWN: [KnownSystem; 4] = [
    KnownSystem {
        folder: "/usr/local/share/ca-certificates",
        ending: "crt",
        added: &["update-ca-certificates"],
        removed: &["update-ca-certificates", "--fresh"],
    },
    KnownSystem {
        folder: "/etc/pki/ca-trust/source/anchors",
        ending: "pem",
        added: &["update-ca-trust", "extract"],
        removed: &["update-ca-trust", "extract"],
    },
    KnownSystem {
        folder: "/etc/ca-certificates/trust-source/anchors",
        ending: "pem",
        added: &["trust", "extract-compat"],
        removed: &["trust", "extract-compat"],
    },
    KnownSystem {
        folder: "/usr/share/pki/trust/anchors",
        ending: "pem",
        added: &["update-ca-certificates"],
        removed: &["update-ca-certificates"],
    },
];

struct KnownSystem {
    folder: &'static str,
    ending: &'static str,
    added: &'static [&'static str],
    removed: &'static [&'static str],
}

/// How tools get the right to change the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elevation {
    /// They have it.
    None,
    /// By sudo, which asks the terminal for a password.
    Sudo,
    /// By sudo, if it does not ask.
    SudoUnasked,
}

/// A folder of CAs, and what has the system read it.
#[derive(Clone, Debug)]
pub struct SystemStore {
    /// The folder.
    pub folder: PathBuf,
    /// How its files end.
    pub ending: &'static str,
    /// The command after one came.
    pub added: Vec<String>,
    /// The command after one went.
    pub removed: Vec<String>,
    /// How they may.
    pub elevation: Elevation,
}

impl SystemStore {
    /// That of this system; `None` where it keeps its CAs at no known place.
    pub fn of_this_machine(elevation: Elevation) -> Option<Self> {
        let known = KNOWN
            .iter()
            .find(|known| Path::new(known.folder).is_dir())?;
        let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect();
        Some(Self {
            folder: known.folder.into(),
            ending: known.ending,
            added: words(known.added),
            removed: words(known.removed),
            elevation,
        })
    }

    pub(super) fn install(&self, ca: &CaCertificate) -> StoreReport {
        self.report(ca, self.add(ca))
    }

    pub(super) fn remove(&self, ca: &CaCertificate) -> StoreReport {
        self.report(ca, self.delete(ca))
    }

    fn report(&self, ca: &CaCertificate, change: Result<StoreChange, StoreError>) -> StoreReport {
        let command = match change {
            Ok(StoreChange::Added) => format!(", then {}", self.added.join(" ")),
            Ok(StoreChange::Removed) => format!(", then {}", self.removed.join(" ")),
            _ => String::new(),
        };
        StoreReport {
            store: "system",
            place: format!("{}{command}", self.file(ca).display()),
            change,
        }
    }

    fn add(&self, ca: &CaCertificate) -> Result<StoreChange, StoreError> {
        if self.has(ca) {
            return Ok(StoreChange::AlreadyThere);
        }
        self.put(ca)?;
        if let Err(error) = self.run(&self.added) {
            // Else the next call would take it for done.
            self.take(ca)?;
            return Err(error);
        }
        self.has(ca)
            .then_some(StoreChange::Added)
            .ok_or(StoreError::Unchanged)
    }

    fn delete(&self, ca: &CaCertificate) -> Result<StoreChange, StoreError> {
        if !self.file(ca).exists() {
            return Ok(StoreChange::NotThere);
        }
        self.take(ca)?;
        if let Err(error) = self.run(&self.removed) {
            self.put(ca)?;
            return Err(error);
        }
        Ok(StoreChange::Removed)
    }

    fn put(&self, ca: &CaCertificate) -> Result<String, StoreError> {
        let (from, to) = (ca.file().to_string_lossy(), self.file(ca));
        self.run(&["install", "-m", "644", &from, &to.to_string_lossy()])
    }

    fn take(&self, ca: &CaCertificate) -> Result<String, StoreError> {
        self.run(&["rm", "-f", &self.file(ca).to_string_lossy()])
    }

    fn file(&self, ca: &CaCertificate) -> PathBuf {
        self.folder
            .join(format!("{}.{}", ca.file_stem(), self.ending))
    }

    fn has(&self, ca: &CaCertificate) -> bool {
        let kept = fs::read(self.file(ca)).unwrap_or_default();
        CertificateDer::from_pem_slice(&kept).is_ok_and(|der| *der == *ca.der())
    }

    fn run<S: AsRef<str>>(&self, words: &[S]) -> Result<String, StoreError> {
        let mut all = match self.elevation {
            Elevation::None => vec![],
            Elevation::Sudo => vec!["sudo"],
            Elevation::SudoUnasked => vec!["sudo", "-n"],
        };
        all.extend(words.iter().map(AsRef::as_ref));
        tool::run(&all)
    }
}
