//! One table of the file, with the variables that override its keys.
//!
//! Each section's type has a `read` that asks a [`Section`] for its keys. One mechanism finds all
//! that is wrong: what was asked for is known, what remains is unknown.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::error::{ConfigError, Location};
use super::findings::{Findings, found, quoted};
use super::kind::{FILE, Hint, SIZE, ValueKind};

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Location,
}

/// What stands for a key.
enum RawValue<'a> {
    File(&'a Spanned<DeValue<'a>>),
    Variable(&'a str),
}

/// One table of the file, with the variables that override it.
pub(super) struct Section<'d, 'a> {
    pub(super) findings: &'d mut Findings<'a>,
    pub(super) name: &'static str,
    pub(super) place: Location,
    pub(super) table: Option<&'a DeTable<'a>>,
    pub(super) environment: bool,
}

impl<'a> Section<'_, 'a> {
    /// Whether file or environment set the key.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        !matches!(self.take(key), None | Some(RawValue::Variable("")))
    }

    /// A string that becomes a value.
    pub(super) fn value<T>(&mut self, key: &'static str, kind: &ValueKind<T>) -> Option<T> {
        match self.take(key)? {
            RawValue::Variable(text) => self.parse(key, self.unplaced(key, text), kind),
            RawValue::File(item) => match item.get_ref().as_str() {
                Some(text) => self.parse(key, self.placed(item, text), kind),
                None => self.wrong(key, kind.expected, item),
            },
        }
    }

    /// A key without a default; an empty variable unsets what the file says.
    pub(super) fn optional<T>(&mut self, key: &'static str, kind: &ValueKind<T>) -> Option<T> {
        if self.has(key) {
            self.value(key, kind)
        } else {
            None
        }
    }

    /// One string or a list of strings.
    pub(super) fn list<T>(&mut self, key: &'static str, kind: &ValueKind<T>) -> Option<Vec<T>> {
        let placed = self.placed_list(key, kind)?;
        Some(placed.into_iter().map(|placed| placed.value).collect())
    }

    /// One string or a list of strings, each with its place; those that are right, if any is.
    pub(super) fn placed_list<T>(
        &mut self,
        key: &'static str,
        kind: &ValueKind<T>,
    ) -> Option<Vec<Placed<T>>> {
        let item = match self.take(key)? {
            RawValue::Variable(text) => return self.variable_list(key, text, kind),
            RawValue::File(item) => item,
        };
        let items: Vec<_> = match item.get_ref() {
            DeValue::String(_) => vec![item],
            DeValue::Array(array) => array.iter().collect(),
            _ => {
                return self.wrong(
                    key,
                    &format!("{}, or a list of such strings", kind.expected),
                    item,
                );
            }
        };
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            let value = match item.get_ref().as_str() {
                Some(text) => self.parse(key, self.placed(item, text), kind),
                None => self.wrong(key, kind.expected, item),
            };
            values.extend(value.map(|value| Placed {
                value,
                place: self.findings.at(item.span()),
            }));
        }
        (!values.is_empty() || items.is_empty()).then_some(values)
    }

    /// A list in a variable: separated by commas, or in brackets as in the file.
    fn variable_list<T>(
        &mut self,
        key: &'static str,
        text: &'a str,
        kind: &ValueKind<T>,
    ) -> Option<Vec<Placed<T>>> {
        let texts = if text.starts_with('[') {
            let parsed = DeValue::parse(text).ok();
            let strings = parsed.as_ref().and_then(|value| {
                let array = value.get_ref().as_array()?.iter();
                array
                    .map(|item| item.get_ref().as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
            });
            strings.unwrap_or_else(|| vec![text.to_owned()])
        } else {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        let place = self.place(key);
        let values: Vec<_> = texts
            .iter()
            .filter_map(|text| self.parse(key, self.unplaced(key, text), kind))
            .map(|value| Placed {
                value,
                place: place.clone(),
            })
            .collect();
        (!values.is_empty() || texts.is_empty()).then_some(values)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let expected = "true or false";
        match self.take(key)? {
            RawValue::Variable(text) => text
                .parse()
                .ok()
                .or_else(|| self.wrong_text(key, expected, text)),
            RawValue::File(item) => item
                .get_ref()
                .as_bool()
                .or_else(|| self.wrong(key, expected, item)),
        }
    }

    /// A whole number.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match self.take(key)? {
            RawValue::Variable(text) => {
                let number = text.parse().ok().filter(|number| range.contains(number));
                number.or_else(|| self.wrong_text(key, &expected, text))
            }
            RawValue::File(item) => {
                let number = item.get_ref().as_integer().and_then(|integer| {
                    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
                });
                number
                    .filter(|number| range.contains(number))
                    .or_else(|| self.wrong(key, &expected, item))
            }
        }
    }

    /// A size in bytes within bounds that the parts behind it have.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let size = self.value(key, &SIZE)?;
        let fitting = usize::try_from(size)
            .ok()
            .filter(|size| range.contains(size));
        if fitting.is_none() {
            let message = format!(
                "must be from {} to {} bytes, is {size}",
                range.start(),
                range.end()
            );
            self.refuse(key, &message, None);
        }
        fitting
    }

    /// A path that is resolved beside the file.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.optional(key, &FILE)?;
        Some(self.findings.folder.join(path))
    }

    /// Where the key is set; without it, where the section begins.
    pub(super) fn place(&self, key: &str) -> Location {
        let variable = Environment::name_of(self.name, key);
        if self.environment && self.findings.environment.value(&variable).is_some() {
            return Location::Variable(variable);
        }
        let item = self.table.and_then(|table| table.get(key));
        item.map_or_else(|| self.place.clone(), |item| self.findings.at(item.span()))
    }

    /// Notes that a key is missing or does not go with others.
    pub(super) fn refuse(&mut self, key: &str, message: &str, hint: Option<&str>) {
        let place = self.place(key);
        self.findings
            .refuse(place, format!("{}.{key}: {message}", self.name), hint);
    }

    fn take(&mut self, key: &'static str) -> Option<RawValue<'a>> {
        self.findings.known.add(self.name, key);
        if self.environment
            && let Some(text) = self
                .findings
                .environment
                .value(&Environment::name_of(self.name, key))
        {
            return Some(RawValue::Variable(text));
        }
        self.table?.get(key).map(RawValue::File)
    }

    fn parse<T>(&mut self, key: &str, text: Placed<&str>, kind: &ValueKind<T>) -> Option<T> {
        match (kind.parse)(text.value) {
            Ok(value) => Some(value),
            Err(hint) => {
                let found = if key.starts_with("secret") {
                    "something else".to_owned()
                } else {
                    quoted(text.value)
                };
                let message = self.message(key, kind.expected, &found);
                self.push(text.place, message, hint)
            }
        }
    }

    fn placed<'t>(&self, item: &Spanned<DeValue<'_>>, value: &'t str) -> Placed<&'t str> {
        Placed {
            value,
            place: self.findings.at(item.span()),
        }
    }

    fn unplaced<'t>(&self, key: &str, value: &'t str) -> Placed<&'t str> {
        Placed {
            value,
            place: self.place(key),
        }
    }

    fn wrong<T>(&mut self, key: &str, expected: &str, item: &Spanned<DeValue<'_>>) -> Option<T> {
        let place = self.findings.at(item.span());
        self.push(
            place,
            self.message(key, expected, &found(item.get_ref())),
            None,
        )
    }

    fn wrong_text<T>(&mut self, key: &str, expected: &str, text: &str) -> Option<T> {
        self.push(
            self.place(key),
            self.message(key, expected, &quoted(text)),
            None,
        )
    }

    fn message(&self, key: &str, expected: &str, found: &str) -> String {
        format!("{}.{key}: expected {expected}, found {found}", self.name)
    }

    fn push<T>(&mut self, place: Location, message: String, hint: Hint) -> Option<T> {
        self.findings
            .errors
            .push(ConfigError::new(place, message).hint(hint));
        None
    }
}
