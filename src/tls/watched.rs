//! A certificate of the user's own: a pair of files that is taken anew when it changes.
//!
//! Looked at once a second by `certificates`. An expired certificate is served with a warning,
//! because a site with one is better than none.

use super::error::TlsError;
use super::files::{self, Pair, Version};
use crate::causes;
use crate::config::CertificateFiles;

/// A pair of files, and what was last read from them.
pub(super) struct WatchedPair {
    files: CertificateFiles,
    pub(super) pair: Pair,
    /// Why the files as they are now cannot be used.
    pub(super) trouble: Option<String>,
    /// The versions that were loaded, or found wanting.
    judged: [Option<Version>; 2],
    /// The versions on the disk.
    seen: [Option<Version>; 2],
}

impl WatchedPair {
    /// Reads the pair.
    pub(super) fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let seen = versions(files);
        Ok(Self {
            pair: files::load(&files.cert, &files.key)?,
            files: files.clone(),
            trouble: None,
            judged: seen,
            seen,
        })
    }

    /// Takes the pair anew where it has changed; whether it has. An error is new, not the one of the last
    /// look.
    pub(super) fn look(&mut self) -> Result<bool, TlsError> {
        if !self.has_changed() {
            return Ok(false);
        }
        // Judged now, whatever comes of it: what is broken is said once.
        self.judged = self.seen;
        match files::load(&self.files.cert, &self.files.key) {
            Ok(pair) => {
                self.pair = pair;
                self.trouble = None;
                Ok(true)
            }
            Err(error) => {
                self.trouble = Some(causes::chain(&error));
                Err(error)
            }
        }
    }

    /// Whether the files differ from those judged, and rest: the two are written one after the
    /// other, and a half-done change is no error.
    fn has_changed(&mut self) -> bool {
        let now = versions(&self.files);
        let rests = self.seen == now;
        self.seen = now;
        rests && now != self.judged
    }

    /// Where it is, for a certificate that says no name.
    pub(super) fn place(&self) -> String {
        self.files.cert.display().to_string()
    }
}

fn versions(files: &CertificateFiles) -> [Option<Version>; 2] {
    [&files.cert, &files.key].map(|path| files::version(path))
}
