//! The text that is read, and what is wrong with it: shared by document and sections.
//!
//! Made by `load`, borrowed by each section while it reads. Reading goes on after a finding, so the
//! findings are collected here and come all at once.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::environment::Environment;
use super::error::{ConfigError, Location, mask_user_information};
use super::known::Known;

/// A file's text with the variables, and what is wrong in them.
pub(super) struct Findings<'a> {
    pub(super) text: &'a str,
    pub(super) path: &'a Path,
    /// The absolute folder of the file, beside which paths are resolved.
    pub(super) folder: PathBuf,
    pub(super) environment: &'a Environment,
    /// After syntax errors some keys are missing or elsewhere: only wrong values count then.
    pub(super) broken: bool,
    pub(super) known: Known,
    pub(super) errors: Vec<ConfigError>,
}

impl Findings<'_> {
    pub(super) fn at(&self, span: std::ops::Range<usize>) -> Location {
        Location::at(self.path, self.text, span)
    }

    /// Notes what is wrong with the whole; after syntax errors it may be their consequence.
    pub(super) fn refuse(
        &mut self,
        place: Location,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        if !self.broken {
            self.errors
                .push(ConfigError::new(place, message).hint(hint));
        }
    }

    /// Whether something is wrong with a key, `section.key`: what only follows from that is not worth saying.
    pub(super) fn are_about(&self, key: &str) -> bool {
        self.errors.iter().any(|error| error.is_about(key))
    }
}

/// A text as an error shows it.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", mask_user_information(text))
}

/// A value as an error shows it.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {float}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
