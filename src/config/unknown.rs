//! Finds keys that no section asked for, and the nearest that one did.
//!
//! `load` runs it last, when every section has said which keys it knows. A variable that stands for
//! no key is a finding too, since a mistyped one would otherwise do nothing.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::environment::Environment;
use super::error::{ConfigError, Location};

impl Document<'_> {
    /// Reports every key of the file that no section has read.
    pub(super) fn refuse_unknown_keys(&mut self) {
        let root = self.root;
        for (key, value) in root {
            let name = key.get_ref().as_ref();
            if !self.findings.known.sections.contains_key(name) {
                let what = if value.get_ref().is_table() {
                    "section"
                } else {
                    "key"
                };
                let hint = self.findings.known.section_hint(name);
                self.refuse_key(key, &format!("{what} `{}`", name.escape_debug()), hint);
                continue;
            }
            self.refuse_unknown_below(name, value.get_ref());
        }
    }

    /// What stands where another shape is expected is a finding already.
    fn refuse_unknown_below(&mut self, section: &str, value: &DeValue<'_>) {
        let repeated = self.findings.known.repeated.contains(&section);
        match value {
            DeValue::Table(table) if !repeated => self.refuse_unknown_in(section, table),
            DeValue::Array(entries) if repeated => {
                let tables = entries
                    .iter()
                    .filter_map(|entry| entry.get_ref().as_table());
                tables.for_each(|table| self.refuse_unknown_in(section, table));
            }
            _ => {}
        }
    }

    fn refuse_unknown_in(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let inner = format!("{section}.{name}");
            if self.findings.known.sections.contains_key(inner.as_str()) {
                self.refuse_unknown_below(&inner, value.get_ref());
            } else if !self.findings.known.has(section, name) {
                let shown = name.escape_debug();
                let place = format!(" in {}", self.findings.known.header(section));
                let hint = self.findings.known.key_hint(section, name);
                self.refuse_key(key, &format!("key `{shown}`{place}"), hint);
            }
        }
    }

    fn refuse_key(&mut self, key: &Spanned<DeString<'_>>, what: &str, hint: Option<String>) {
        let place = self.findings.at(key.span());
        let error = ConfigError::new(place, format!("unknown {what}"));
        self.findings.errors.push(error.hint(hint));
    }

    /// Notes every variable that looks like a key but is not one.
    pub(super) fn refuse_unknown_variables(&mut self) {
        for (variable, section, key) in self.findings.environment.keys() {
            let known = &self.findings.known;
            let list = format!("{section}.{key}");
            let is_list = known.repeated.contains(&list.as_str());
            let repeated = is_list || known.repeated.contains(&section.as_str());
            let in_section = known.sections.get(section.as_str());
            if !repeated && in_section.is_some_and(|keys| keys.contains(&key.as_str())) {
                continue;
            }
            let header = known.header(if is_list { &list } else { &section });
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
                ConfigError::new(Location::Variable(variable.to_owned()), message).hint(hint);
            self.findings.errors.push(finding);
        }
        self.refuse_single_underscores();
    }

    /// `GATEPOST_DJANGO_UPSTREAM` would have no effect, without a word why.
    fn refuse_single_underscores(&mut self) {
        let known = &self.findings.known;
        let single = |section: &&str| !known.repeated.contains(section);
        for (section, key) in known.all().filter(|(section, _)| single(section)) {
            let Some(slip) = self.findings.environment.slip(section, key) else {
                continue;
            };
            let name = Environment::name_of(section, key);
            let finding = ConfigError::new(Location::Variable(slip), "stands for no key");
            let hint = Some(format!("did you mean {name}, with two underscores?"));
            self.findings.errors.push(finding.hint(hint));
        }
    }
}
