//! The variables of the process, taken once.
//!
//! `GATEPOST_SECTION__KEY` stands for `key` of `[section]` (`GATEPOST_TLS__ACME__EMAIL` for one of `[tls.acme]`); everything else, such as
//! `GATEPOST_SECRET`, is only looked up where a key names it. No `Debug` shows values.

use std::collections::BTreeMap;
use std::fmt;

const PREFIX: &str = "GATEPOST_";

/// The variables a configuration may use.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. A value that is not UTF-8 is kept with U+FFFD in it, so that
    /// it is refused where it is read and not taken for unset.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The name of the variable that stands for a key.
    pub(super) fn name_of(section: &str, key: &str) -> String {
        format!("{PREFIX}{}__{key}", section.replace('.', "__")).to_uppercase()
    }

    /// All variables that stand for a key, as name, section and key in lower case.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, String, String)> {
        self.0.keys().filter_map(|name| {
            let (section, key) = name.strip_prefix(PREFIX)?.rsplit_once("__")?;
            let section = section.to_lowercase().replace("__", ".");
            Some((name.as_str(), section, key.to_lowercase()))
        })
    }

    /// Whether this variable is set, which lacks one of the two lines between section and key.
    pub(super) fn slip(&self, section: &str, key: &str) -> Option<String> {
        let slip = format!("{PREFIX}{}_{key}", section.replace('.', "__")).to_uppercase();
        self.0.contains_key(&slip).then_some(slip)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_double_underscore_are_keys() {
        let environment = Environment::from([
            ("GATEPOST_SECRET", "x"),
            ("GATEPOST_DJANGO__SESSION_COOKIE", "x"),
            ("GATEPOST_TLS__ACME__EMAIL", "x"),
            ("PATH", "x"),
        ]);
        let keys: Vec<_> = environment.keys().collect();
        assert_eq!(
            keys,
            [
                (
                    "GATEPOST_DJANGO__SESSION_COOKIE",
                    "django".to_owned(),
                    "session_cookie".to_owned()
                ),
                (
                    "GATEPOST_TLS__ACME__EMAIL",
                    "tls.acme".to_owned(),
                    "email".to_owned()
                )
            ]
        );
        assert!(!format!("{environment:?}").contains('x'));
    }
}
