//! Finds keys that no section asked for, and the nearest that one did.
//!
//! `load` runs it last, when every section has said which keys it knows. The surprise: a variable
//! that stands for no key is a finding too, since a mistyped one would otherwise do nothing.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::environment::Environment;
use super::error::{ConfigError, Place};

/// Below this similarity a name is another word, not a slip.
const SIMILAR: f64 = 0.8;

/// A shorter part of a name says nothing.
const SHORTEST_PART: usize = 5;

/// The keys each section asked for.
#[derive(Debug, Default)]
pub(super) struct Known {
    sections: BTreeMap<&'static str, Vec<&'static str>>,
    repeated: Vec<&'static str>,
}

impl Known {
    /// Notes that a section knows a key.
    pub(super) fn add(&mut self, section: &'static str, key: &'static str) {
        let keys = self.sections.entry(section).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }

    /// Notes a section that may stand many times.
    pub(super) fn repeated(&mut self, section: &'static str) {
        self.sections.entry(section).or_default();
        self.repeated.push(section);
    }

    /// Every section with its keys.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.sections
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(|key| (*section, *key)))
    }

    fn header(&self, section: &str) -> String {
        if self.repeated.contains(&section) {
            format!("[[{section}]]")
        } else {
            format!("[{section}]")
        }
    }

    fn section_hint(&self, name: &str) -> Option<String> {
        if let Some(section) = self.home_of(name) {
            return Some(format!("`{name}` belongs to {}", self.header(section)));
        }
        let section = nearest(name, self.sections.keys().copied())?;
        Some(format!("did you mean {}?", self.header(section)))
    }

    fn key_hint(&self, section: &str, key: &str) -> Option<String> {
        if section == "django" && key == "secret" {
            return Some(
                "a secret does not belong in this file: set the variable GATEPOST_SECRET, or \
                 name another one with `secret_env` or a file with `secret_file`"
                    .to_owned(),
            );
        }
        if let Some(key) = nearest(key, self.sections[section].iter().copied()) {
            return Some(format!("did you mean `{key}`?"));
        }
        let home = self.home_of(key)?;
        Some(format!("`{key}` belongs to {}", self.header(home)))
    }

    fn home_of(&self, key: &str) -> Option<&'static str> {
        self.sections
            .iter()
            .find(|(_, keys)| keys.contains(&key))
            .map(|(section, _)| *section)
    }
}

/// The most similar name, or one that is longer at one end.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |candidate: &str| {
        let similarity = strsim::jaro_winkler(name, candidate);
        let is_part = name.len() >= SHORTEST_PART && candidate.contains(name);
        if is_part {
            similarity.max(SIMILAR)
        } else {
            similarity
        }
    };
    candidates
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

impl Document<'_> {
    /// Notes everything that stands in the file and that nobody asked for.
    pub(super) fn refuse_unknown_keys(&mut self) {
        let root = self.root;
        for (key, value) in root {
            let name = key.get_ref().as_ref();
            if !self.known.sections.contains_key(name) {
                let what = if value.get_ref().is_table() {
                    "section"
                } else {
                    "key"
                };
                self.unknown(key, (what, ""), self.known.section_hint(name));
                continue;
            }
            // What stands where another shape is expected is a finding already.
            let repeated = self.known.repeated.contains(&name);
            match value.get_ref() {
                DeValue::Table(table) if !repeated => self.refuse_unknown_in(name, table),
                DeValue::Array(entries) if repeated => {
                    let tables = entries
                        .iter()
                        .filter_map(|entry| entry.get_ref().as_table());
                    tables.for_each(|table| self.refuse_unknown_in(name, table));
                }
                _ => {}
            }
        }
    }

    fn refuse_unknown_in(&mut self, section: &str, table: &DeTable<'_>) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.sections[section].contains(&name) {
                let place = format!(" in {}", self.known.header(section));
                self.unknown(key, ("key", &place), self.known.key_hint(section, name));
            }
        }
    }

    fn unknown(
        &mut self,
        key: &Spanned<DeString<'_>>,
        (what, place): (&str, &str),
        hint: Option<String>,
    ) {
        let message = format!("unknown {what} `{}`{place}", key.get_ref().escape_debug());
        self.findings
            .push(ConfigError::new(self.at(key.span()), message).hint(hint));
    }

    /// Notes every variable that looks like a key and is none.
    pub(super) fn refuse_unknown_variables(&mut self) {
        for (variable, section, key) in self.environment.keys() {
            let known = &self.known;
            let repeated = known.repeated.contains(&section.as_str());
            let in_section = known.sections.get(section.as_str());
            if !repeated && in_section.is_some_and(|keys| keys.contains(&key.as_str())) {
                continue;
            }
            let header = known.header(&section);
            let (message, hint) = match in_section {
                Some(_) if repeated => (
                    format!("{header} cannot be set by a variable"),
                    Some("write it into the file".to_owned()),
                ),
                Some(_) => (
                    format!("unknown key `{key}` in {header}"),
                    known.key_hint(&section, &key),
                ),
                None => (
                    format!("unknown section [{section}]"),
                    known.section_hint(&section),
                ),
            };
            let finding =
                ConfigError::new(Place::Variable(variable.to_owned()), message).hint(hint);
            self.findings.push(finding);
        }
        self.refuse_single_underscores();
    }

    /// `GATEPOST_DJANGO_UPSTREAM` would do nothing, and nobody would know why.
    fn refuse_single_underscores(&mut self) {
        let known = &self.known;
        let single = |section: &&str| !known.repeated.contains(section);
        for (section, key) in known.all().filter(|(section, _)| single(section)) {
            let Some(slip) = self.environment.slip(section, key) else {
                continue;
            };
            let name = Environment::name_of(section, key);
            let finding = ConfigError::new(Place::Variable(slip), "stands for no key");
            let hint = Some(format!("did you mean {name}, with two underscores?"));
            self.findings.push(finding.hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = || ["https", "hosts", "internal"].into_iter();
        assert_eq!(nearest("host", names()), Some("hosts"));
        assert_eq!(nearest("http2", names()), Some("https"));
        assert_eq!(nearest("zzz", names()), None);
        assert_eq!(
            nearest("origins", ["path", "allowed_origins"].into_iter()),
            Some("allowed_origins")
        );
    }
}
