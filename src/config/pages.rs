//! `[errors]`: the project's own pages for what the gateway has to refuse.
//!
//! They are read at the start, so that a disk that is full or gone takes no page away.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bytes::Bytes;

use super::document::Document;
use super::kind::FILE_OR_NONE;
use super::section::Section;

/// A longer file is no page for an error.
const LONGEST: u64 = 1 << 20;

/// `[errors]`: pages by what they are for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PagesConfig(BTreeMap<String, Bytes>);

impl PagesConfig {
    /// The page for a status: its own, or that of its hundred.
    pub fn of(&self, status: u16) -> Option<&Bytes> {
        let own = self.0.get(&status.to_string());
        own.or_else(|| self.0.get(&format!("{}xx", status / 100)))
    }

    /// Reads the section, and the pages.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let mut section = document.section("errors");
        let Some(root) = section.value("root", &FILE_OR_NONE).flatten() else {
            return Self::default();
        };
        let root = section.findings.folder.join(root);
        let Ok(entries) = root.read_dir() else {
            section.refuse(
                "root",
                &format!("there is no folder {}", root.display()),
                None,
            );
            return Self::default();
        };
        let mut pages = BTreeMap::new();
        for entry in entries.flatten() {
            let path = entry.path();
            if let Some(name) = page_name(&path)
                && let Some(page) = load(&mut section, &path)
            {
                pages.insert(name, page);
            }
        }
        if pages.is_empty() {
            let message = format!("has no page: {}", root.display());
            let hint = "name them 404.html, 502.html, 4xx.html, 5xx.html and so on";
            section.refuse("root", &message, Some(hint));
        }
        Self(pages)
    }
}

/// Sizes alone.
impl fmt::Debug for PagesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.0.iter().map(|(name, page)| (name, page.len()));
        f.debug_map().entries(sizes).finish()
    }
}

/// `404` of `404.html`, `5xx` of `5xx.html`.
fn page_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".html")?;
    let (hundred, rest) = name.split_at_checked(1)?;
    let is_one = rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit());
    (matches!(hundred, "4" | "5") && (is_one || rest == "xx")).then(|| name.to_owned())
}

fn load(section: &mut Section<'_, '_>, path: &Path) -> Option<Bytes> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    let read = match length {
        length if length > LONGEST => Err("it is longer than 1 MiB".to_owned()),
        _ => std::fs::read(path).map_err(|error| error.to_string()),
    };
    match read {
        Ok(page) => Some(page.into()),
        Err(why) => {
            let message = format!("{} cannot be read: {why}", path.display());
            section.refuse("root", &message, None);
            None
        }
    }
}
