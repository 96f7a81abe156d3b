//! Looks whether the configuration's file has changed, for `server.watch`.
//!
//! Run by the composition root for as long as the gateway lives; whether a change counts is a setting of the file itself.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::admin::reload::ReloadHandle;
use crate::net::drain::DrainWatch;
use crate::setting::Setting;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A file to look at.
pub(super) struct FileWatch {
    pub(super) file: PathBuf,
    pub(super) is_on: Arc<Setting<bool>>,
    pub(super) reloads: ReloadHandle,
}

/// When it was written, and how long it is; `None` where it is not there.
type WatchedVersion = Option<(SystemTime, u64)>;

impl FileWatch {
    /// Asks for a reload after each change, when the file rests: editors write in several steps.
    pub(super) async fn run(self, drain: DrainWatch) {
        let mut judged = self.look();
        let mut seen = judged;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = drain.draining() => return,
            }
            let now = self.look();
            let rests = now == seen;
            seen = now;
            if !rests || now == judged {
                continue;
            }
            judged = now;
            // One that is gone is perhaps about to be written anew; what runs stays.
            if now.is_some() && self.is_on.get() {
                self.reloads.request();
            }
        }
    }

    fn look(&self) -> WatchedVersion {
        let found = fs::metadata(&self.file).ok()?;
        Some((found.modified().ok()?, found.len()))
    }
}
