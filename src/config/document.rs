//! A parsed file: where each section begins.
//!
//! `load` makes one; each section's `read` takes its [`Section`] from it. Reading goes on after a
//! finding with the default in its place, so that all findings come at once.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Location};
use super::findings::{Findings, found};
use super::section::Section;

type KeyAndValue<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// A file that was parsed, with what is wrong in it.
pub(super) struct Document<'a> {
    pub(super) root: &'a DeTable<'a>,
    pub(super) findings: Findings<'a>,
}

impl<'a> Document<'a> {
    /// A section that may stand once. A dot in the name leads into another section.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        let mut table = None;
        let found_at = self.find(name);
        if let Some((key, value)) = found_at {
            table = value.get_ref().as_table();
            if table.is_none() {
                let place = self.findings.at(key.span());
                self.findings.errors.push(
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
        let place = found_at.map_or_else(
            || Location::File(self.findings.path.to_owned()),
            |(_, value)| self.findings.at(value.span()),
        );
        Section {
            findings: &mut self.findings,
            name,
            place,
            table,
            environment: true,
        }
    }

    /// The entries of a section that may stand many times.
    pub(super) fn entries(&mut self, name: &'static str) -> Vec<TableEntry<'a>> {
        self.findings.known.repeated(name);
        let Some((_, value)) = self.find(name) else {
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
                    Some(TableEntry {
                        name,
                        place: self.findings.at(element.span()),
                        table: element.get_ref().as_table()?,
                    })
                })
                .collect()
        });
        tables.unwrap_or_else(|| {
            self.findings.errors.push(
                ConfigError::new(
                    self.findings.at(value.span()),
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

    /// What stands for a section; where that is no table, the section that it would be in says so.
    fn find(&self, name: &str) -> Option<KeyAndValue<'a>> {
        let mut table = self.root;
        let mut parts = name.split('.');
        let last = parts.next_back()?;
        for part in parts {
            table = table.get(part)?.get_ref().as_table()?;
        }
        table.get_key_value(last)
    }

    /// One of the entries.
    pub(super) fn entry(&mut self, entry: TableEntry<'a>) -> Section<'_, 'a> {
        Section {
            findings: &mut self.findings,
            name: entry.name,
            place: entry.place,
            table: Some(entry.table),
            environment: false,
        }
    }
}

/// One of several tables of a section.
pub(super) struct TableEntry<'a> {
    name: &'static str,
    place: Location,
    table: &'a DeTable<'a>,
}
