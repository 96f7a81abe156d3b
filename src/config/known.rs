//! The keys that each section has, and which of them is nearest to an unknown name.
//!
//! Every section adds the keys it reads; `unknown` looks up what else stands in the file.

use std::collections::BTreeMap;

/// Below this similarity a name is another word, not a slip.
const SIMILAR: f64 = 0.8;

/// A shorter part of a name says nothing.
const SHORTEST_PART: usize = 5;

/// The keys each section asked for.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) sections: BTreeMap<&'static str, Vec<&'static str>>,
    pub(super) repeated: Vec<&'static str>,
    free: Vec<&'static str>,
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

    /// Notes a section whose keys are names of the user's own.
    pub(super) fn free(&mut self, section: &'static str) {
        self.sections.entry(section).or_default();
        self.free.push(section);
    }

    /// Whether a section knows a key of the file.
    pub(super) fn has(&self, section: &str, key: &str) -> bool {
        let keys = self.sections.get(section);
        self.free.contains(&section) || keys.is_some_and(|keys| keys.contains(&key))
    }

    /// Every section with its keys.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.sections
            .iter()
            .flat_map(|(section, keys)| keys.iter().map(|key| (*section, *key)))
    }

    pub(super) fn header(&self, section: &str) -> String {
        if self.repeated.contains(&section) {
            format!("[[{section}]]")
        } else {
            format!("[{section}]")
        }
    }

    pub(super) fn section_hint(&self, name: &str) -> Option<String> {
        if let Some(section) = self.home_of(name) {
            return Some(format!("`{name}` belongs to {}", self.header(section)));
        }
        let section = nearest(name, self.sections.keys().copied())?;
        Some(format!("did you mean {}?", self.header(section)))
    }

    pub(super) fn key_hint(&self, section: &str, key: &str) -> Option<String> {
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
