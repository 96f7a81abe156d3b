//! `[outbox]`: the transactional outbox of Django's package, which the gateway pulls.

use std::path::PathBuf;
use std::time::Duration;

use super::auth::{AuthUrl, URL};
use super::document::Document;
use super::kind::{DURATION, DURATION_OR_ZERO, ValueKind};
use crate::state_folder::StateFolder;

/// `[outbox]`: the transactional outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// Where Django hands it out; without it nothing is pulled.
    pub url: Option<AuthUrl>,
    /// How often it is looked at when Django does not wake the gateway.
    pub poll: Duration,
    /// How long clients may come back after a restart before they get what waited.
    pub settle: Duration,
    /// The file that keeps how far this gateway got.
    pub cursor: PathBuf,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            url: None,
            poll: Duration::from_secs(2),
            settle: Duration::from_secs(3),
            cursor: StateFolder::default().cursor(),
        }
    }
}

const URL_OR_NONE: ValueKind<Option<AuthUrl>> = ValueKind {
    expected: "a path at Django such as \"/_gatepost/outbox/\", or a whole http:// or https:// URL",
    parse: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        (URL.parse)(text).map(Some)
    },
};

impl OutboxConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let beside = StateFolder::beside(&document.findings.folder).cursor();
        let mut section = document.section("outbox");
        Self {
            url: section.value("url", &URL_OR_NONE).unwrap_or(default.url),
            poll: section.value("poll", &DURATION).unwrap_or(default.poll),
            settle: section
                .value("settle", &DURATION_OR_ZERO)
                .unwrap_or(default.settle),
            cursor: section.path("cursor").unwrap_or(beside),
        }
    }
}
