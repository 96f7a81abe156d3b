//! `[buffering]`: what is kept of requests and answers so that slow clients hold nothing up.
//!
//! A request that is larger than one address's share of the disk could never be read whole, so such
//! a `limits.body_size` is a finding.

use std::path::PathBuf;

use super::document::Document;
use super::kind::{PREFIX, SIZE, ValueKind};
use super::limits::Limits;
use super::section::Section;
use crate::state_folder::StateFolder;

/// One address may use this part of what there is.
const SHARE: u64 = 4;

/// `[buffering]`: what is kept of requests and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferingConfig {
    /// Bytes of one request that are kept in memory.
    pub request: u64,
    /// Bytes of one answer that are kept in memory.
    pub response: u64,
    /// Bytes in memory in all.
    pub memory: u64,
    /// Bytes in files in all.
    pub disk: u64,
    /// Where the files are; they have no names.
    pub folder: BufferFolder,
    /// Prefixes of the paths whose requests are streamed.
    pub unbuffered: Vec<String>,
}

/// Where bodies that memory does not hold are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BufferFolder {
    /// Beside the file; where that cannot be written, the system's folder for temporary files.
    Default(PathBuf),
    /// The one that was asked for.
    Given(PathBuf),
}

const FOLDER_OR_DEFAULT: ValueKind<Option<PathBuf>> = ValueKind {
    expected: "a folder (\"\": .gatepost/ beside this file)",
    parse: |text| {
        Ok(Some(text)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from))
    },
};

impl Default for BufferingConfig {
    fn default() -> Self {
        Self {
            request: 1 << 20,
            response: 1 << 20,
            memory: 64 << 20,
            disk: 1 << 30,
            folder: BufferFolder::Default(StateFolder::default().path().to_owned()),
            unbuffered: Vec::new(),
        }
    }
}

impl BufferingConfig {
    /// Bytes in memory for one address.
    pub fn memory_share(&self) -> u64 {
        self.memory / SHARE
    }

    /// Bytes in files for one address.
    pub fn disk_share(&self) -> u64 {
        self.disk / SHARE
    }

    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>, limits: &Limits) -> Self {
        let mut buffering = Self::default();
        let mut section = document.section("buffering");
        let mut size = |field: &mut u64, key| {
            *field = section.value(key, &SIZE).unwrap_or(*field);
        };
        size(&mut buffering.request, "request");
        size(&mut buffering.response, "response");
        size(&mut buffering.memory, "memory");
        size(&mut buffering.disk, "disk");
        buffering.folder = read_folder(&mut section);
        buffering.unbuffered = section.list("unbuffered", &PREFIX).unwrap_or_default();
        buffering.check_share(document, limits);
        buffering
    }

    /// The finding is shown at whichever of the two keys the file has.
    fn check_share(&self, document: &mut Document<'_>, limits: &Limits) {
        let share = self.disk_share();
        if limits.body_size <= share {
            return;
        }
        let message = format!(
            "is {} bytes, more than one address may keep on disk: {share} bytes, a quarter of \
             buffering.disk",
            limits.body_size
        );
        let hint = "a request is read whole before Django gets it: raise buffering.disk to four \
                    times limits.body_size, or lower that";
        let mut section = document.section("limits");
        if section.has("body_size") {
            return section.refuse("body_size", &message, Some(hint));
        }
        let message = format!(
            "is too small: one address may use a quarter of it, {share} bytes, which is less than \
             limits.body_size, {} bytes",
            limits.body_size
        );
        let mut section = document.section("buffering");
        section.refuse("disk", &message, Some(hint));
    }
}

fn read_folder(section: &mut Section<'_, '_>) -> BufferFolder {
    let Some(folder) = section.value("folder", &FOLDER_OR_DEFAULT).flatten() else {
        let state = StateFolder::beside(&section.findings.folder);
        return BufferFolder::Default(state.path().to_owned());
    };
    let folder = section.findings.folder.join(folder);
    if !folder.is_dir() {
        let message = format!("there is no folder {}", folder.display());
        let hint = "make it, or leave the key out for .gatepost/ beside this file";
        section.refuse("folder", &message, Some(hint));
    }
    BufferFolder::Given(folder)
}
