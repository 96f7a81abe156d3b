//! Revocations of topics survive the gateway, in a file to which each is added before it is answered.
//!
//! Opened by the hub at the start. Where a part of it cannot be read, what was revoked is unknown, so
//! tokens issued before now do not count; pages get newer ones when they are loaded.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::revoked_topic::{KeptRevocation, MOST, OlderTokens, RevokedTopic};
use crate::ids::{TopicName, UserId};
use crate::state_folder;
use crate::telemetry::seldom::OnChange;

/// With so many lines it is rewritten: twice what is remembered.
const LONGEST: usize = 2 * MOST;

/// The file, which no other process writes.
#[derive(Debug)]
pub(super) struct TopicFile {
    path: PathBuf,
    state: Mutex<FileState>,
}

#[derive(Debug, Default)]
struct FileState {
    file: Option<File>,
    lines: usize,
    faults: OnChange,
}

/// One line. Without a topic: every topic.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    older_than: u64,
    until: u64,
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct FoundRevocations {
    pub(super) kept: Vec<KeptRevocation>,
    /// Whether more was revoked than that.
    pub(super) is_damaged: bool,
}

impl TopicFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::default(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the gateway before knew; without a file that is nothing.
    pub(super) fn load(&self) -> FoundRevocations {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return FoundRevocations::default();
            }
            Err(_) => {
                return FoundRevocations {
                    is_damaged: true,
                    ..FoundRevocations::default()
                };
            }
        };
        parse(&text)
    }

    /// Writes the file again, with just these.
    pub(super) fn rewrite(&self, kept: &[KeptRevocation]) {
        let mut state = self.state.lock();
        let lines = kept.iter().map(Line::of).flat_map(|line| line.bytes());
        let written = state_folder::write(&self.path, &lines.collect::<Vec<_>>());
        let opened = written.and_then(|()| self.open());
        state.lines = kept.len();
        state.file = None;
        match opened {
            Ok(file) => state.file = Some(file),
            Err(error) => self.log(&mut state, &error),
        }
    }

    /// Adds one. Returns whether it is time to write the file again.
    pub(super) fn add(&self, kept: &KeptRevocation) -> bool {
        let mut state = self.state.lock();
        let line = Line::of(kept).bytes();
        let written = match &mut state.file {
            // One call, so that the end of the process leaves no half of it.
            Some(file) => file.write_all(&line),
            None => self.open().and_then(|mut file| {
                file.write_all(&line)?;
                state.file = Some(file);
                Ok(())
            }),
        };
        state.lines += 1;
        match written {
            Ok(()) => drop(state.faults.is_mended()),
            Err(error) => self.log(&mut state, &error),
        }
        state.lines >= LONGEST
    }

    fn open(&self) -> io::Result<File> {
        state_folder::make_for(&self.path)?;
        let mut options = File::options();
        options.append(true).create(true).mode(0o600);
        options.open(&self.path)
    }

    fn log(&self, state: &mut FileState, error: &io::Error) {
        if state.faults.is_news(&error.to_string()) {
            tracing::warn!(
                file = %self.path.display(), %error,
                "revocations of topics cannot be kept: after a restart tokens count again that were \
                 issued before them"
            );
        }
    }
}

fn parse(text: &[u8]) -> FoundRevocations {
    let mut found = FoundRevocations::default();
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let line = serde_json::from_slice::<Line>(line).ok();
        match line.and_then(Line::kept) {
            Some(kept) => found.kept.push(kept),
            None => found.is_damaged = true,
        }
    }
    found
}

impl Line {
    fn of(kept: &KeptRevocation) -> Self {
        let topic = kept.revoked.as_ref();
        Self {
            topic: topic.map(|revoked| revoked.topic.to_string()),
            user: topic.and_then(|revoked| Some(revoked.user.as_ref()?.to_string())),
            older_than: kept.older.than,
            until: kept.older.until,
        }
    }

    fn kept(self) -> Option<KeptRevocation> {
        let user = self.user.as_deref().map(UserId::new);
        let revoked = match self.topic {
            Some(topic) => Some(RevokedTopic {
                topic: TopicName::new(&topic)?,
                user,
            }),
            None if user.is_none() => None,
            None => return None,
        };
        let older = OlderTokens {
            than: self.older_than,
            until: self.until,
        };
        Some(KeptRevocation { revoked, older })
    }

    fn bytes(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::{Line, parse};

    /// The file of revoked topics: what is read of it is what would be written.
    pub fn topics(bytes: &[u8]) {
        let found = parse(bytes);
        let lines = found.kept.iter().map(Line::of);
        let written: Vec<u8> = lines.flat_map(|line| line.bytes()).collect();
        let again = parse(&written);
        assert!(!again.is_damaged);
        assert_eq!(again.kept, found.kept);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept(topic: Option<&str>, user: Option<&str>, than: u64) -> KeptRevocation {
        let revoked = topic.map(|topic| RevokedTopic {
            topic: TopicName::new(topic).unwrap(),
            user: user.map(UserId::new),
        });
        let until = than + 1000;
        KeptRevocation {
            revoked,
            older: OlderTokens { than, until },
        }
    }

    #[test]
    fn what_was_added_is_found_by_the_next_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".gatepost/topics");
        let file = TopicFile::new(path.clone());
        assert!(file.load().kept.is_empty() && !file.load().is_damaged);
        let all = [
            kept(Some("news"), None, 1),
            kept(Some("shop.order:a%2Fb"), Some("zoë\"\n"), 2),
            kept(None, None, 3),
        ];
        file.rewrite(&all[..1]);
        for one in &all[1..] {
            assert!(!file.add(one));
        }
        let found = TopicFile::new(path.clone()).load();
        assert_eq!((found.kept, found.is_damaged), (all.to_vec(), false));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("topics");
        let file = TopicFile::new(path.clone());
        file.add(&kept(Some("news"), None, 1));
        let good = fs::read(&path).unwrap();
        for bad in [
            &b"{\"topic\":\"ne"[..],
            b"\0\0\0",
            b"{\"user\":\"1\",\"older_than\":1,\"until\":1}",
        ] {
            fs::write(&path, [&good, bad].concat()).unwrap();
            let found = file.load();
            assert_eq!((found.kept.len(), found.is_damaged), (1, true));
        }
    }
}
