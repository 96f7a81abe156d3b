//! A parsed file with its environment, and what is wrong in it.
//!
//! `load` makes one; each section's `read` takes its [`Section`] from it. The surprise: reading
//! goes on after a finding with the default in its place, so that all findings come at once.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::error::{ConfigError, Place, mask_user_information};
use super::section::Section;
use super::unknown::Known;

/// A file that was parsed, with what is wrong in it.
pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) path: &'a Path,
    /// The absolute folder of the file, beside which paths are resolved.
    pub(super) folder: PathBuf,
    pub(super) environment: &'a Environment,
    pub(super) root: &'a DeTable<'a>,
    /// After syntax errors some keys are missing or elsewhere: only wrong values count then.
    pub(super) broken: bool,
    pub(super) findings: Vec<ConfigError>,
    pub(super) known: Known,
}

impl<'a> Document<'a> {
    /// A section that may stand once.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        let mut table = None;
        if let Some((key, value)) = self.root.get_key_value(name) {
            table = value.get_ref().as_table();
            if table.is_none() {
                let place = self.at(key.span());
                self.findings.push(
                    ConfigError::new(
                        place,
                        format!(
                            "expected the section [{name}], found {}",
                            found(value.get_ref())
                        ),
                    )
                    .hint(Some(format!("write [{name}] on a line of its own, once"))),
                );
            }
        }
        let place = self.root.get(name).map_or_else(
            || Place::File(self.path.to_owned()),
            |value| self.at(value.span()),
        );
        Section {
            document: self,
            name,
            place,
            table,
            environment: true,
        }
    }

    /// The entries of a section that may stand many times.
    pub(super) fn entries(&mut self, name: &'static str) -> Vec<Entry<'a>> {
        self.known.repeated(name);
        let Some(value) = self.root.get(name) else {
            return Vec::new();
        };
        let elements = value
            .get_ref()
            .as_array()
            .map(|array| array.iter().collect::<Vec<_>>());
        let tables: Option<Vec<_>> = elements.and_then(|elements| {
            elements
                .into_iter()
                .map(|element| {
                    Some(Entry {
                        name,
                        place: self.at(element.span()),
                        table: element.get_ref().as_table()?,
                    })
                })
                .collect()
        });
        tables.unwrap_or_else(|| {
            self.findings.push(
                ConfigError::new(
                    self.at(value.span()),
                    format!(
                        "expected sections [[{name}]], found {}",
                        found(value.get_ref())
                    ),
                )
                .hint(Some(format!(
                    "write [[{name}]] on a line of its own before each entry"
                ))),
            );
            Vec::new()
        })
    }

    /// One of the entries.
    pub(super) fn entry(&mut self, entry: Entry<'a>) -> Section<'_, 'a> {
        Section {
            document: self,
            name: entry.name,
            place: entry.place,
            table: Some(entry.table),
            environment: false,
        }
    }

    pub(super) fn at(&self, span: std::ops::Range<usize>) -> Place {
        Place::at(self.path, self.text, span)
    }

    /// Notes what is wrong with the whole; after syntax errors it may be their consequence.
    pub(super) fn refuse(&mut self, place: Place, message: impl Into<String>, hint: Option<&str>) {
        if !self.broken {
            self.findings
                .push(ConfigError::new(place, message).hint(hint));
        }
    }
}

/// One of several tables of a section.
pub(super) struct Entry<'a> {
    name: &'static str,
    place: Place,
    table: &'a DeTable<'a>,
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
