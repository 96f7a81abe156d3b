//! What is wrong with the configuration, said so that it can be mended at once.
//!
//! Made while reading, printed by `cli`. The source line is shown, but a secret or a password
//! written into it is masked.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut findings: Vec<ConfigError>) -> Self {
        findings.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        findings.dedup();
        Self(findings)
    }

    /// The findings.
    pub fn findings(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(finding: ConfigError) -> Self {
        Self(vec![finding])
    }
}

/// One finding: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: Location,
    message: String,
    hint: Option<String>,
}

impl ConfigError {
    pub(super) fn new(place: Location, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    pub(super) fn is_about(&self, key: &str) -> bool {
        let rest = self.message.strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with(':'))
    }

    pub(super) fn place(&self) -> &Location {
        &self.place
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Location::Position(position) = &self.place {
            let gutter = position.line.to_string().len();
            write!(f, "\n {} | {}", position.line, position.shown())?;
            let caret = "^".repeat(position.width);
            let indent = " ".repeat(position.column - 1);
            write!(f, "\n {:gutter$} | {indent}{caret}", "")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In the file, at a place.
    Position(SourcePosition),
    /// In the file as a whole.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// Among the words of the command.
    CommandLine,
}

impl Location {
    /// The place of `span` in `text`.
    pub(super) fn at(file: &Path, text: &str, span: Range<usize>) -> Self {
        let start = char_boundary(text, span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let source = text[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + source.len();
        let end = char_boundary(text, span.end.min(line_end)).max(start);
        Self::Position(SourcePosition {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            source: source.to_owned(),
        })
    }

    /// The line, if the finding has one.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Position(position) => Some(position.line),
            Self::File(_) | Self::Variable(_) | Self::CommandLine => None,
        }
    }

    fn order(&self) -> (u8, usize, usize, &str) {
        match self {
            Self::File(_) => (0, 0, 0, ""),
            Self::Position(position) => (1, position.line, position.column, ""),
            Self::Variable(name) => (2, 0, 0, name),
            Self::CommandLine => (3, 0, 0, ""),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(
                f,
                "{}:{}:{}",
                position.file.display(),
                position.line,
                position.column
            ),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// The last place that is no later than `index` and between two characters.
fn char_boundary(text: &str, index: usize) -> usize {
    let end = index.min(text.len());
    (0..=end)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// A place in a file, with the line it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourcePosition {
    file: PathBuf,
    line: usize,
    column: usize,
    width: usize,
    source: String,
}

impl SourcePosition {
    /// The source line without what must not reach a screen or a log.
    fn shown(&self) -> String {
        let line: String = self
            .source
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        masked(&line)
    }
}

/// Hides an inline secret, and the user information of URLs.
fn masked(line: &str) -> String {
    let mut assignments = line.match_indices('=').map(|(at, _)| line.split_at(at));
    let secret = assignments.find(|(before, value)| is_secret(before.trim_end(), value));
    match secret {
        Some((before, _)) => mask_user_information(before) + "= …",
        None => mask_user_information(line),
    }
}

fn is_secret(before: &str, value: &str) -> bool {
    let key = before
        .rsplit([' ', ',', '{', '.'])
        .next()
        .unwrap_or(before)
        .to_lowercase();
    if !["secret", "password", "token"]
        .iter()
        .any(|word| key.contains(word))
    {
        return false;
    }
    // Somebody may have written the secret itself where the name of a variable goes.
    let value = value.split('#').next().unwrap_or(value);
    let is_name = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "=_\" ".contains(c));
    !(key.ends_with("_file") || key.ends_with("_env") && is_name)
}

/// Hides the user information of URLs behind as many stars.
pub(super) fn mask_user_information(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, url) = rest.split_at(start + 3);
        let authority = url.find(['/', '"', '\'']).unwrap_or(url.len());
        shown.push_str(before);
        rest = match url[..authority].rfind('@') {
            Some(at) => {
                shown.extend(std::iter::repeat_n('*', url[..at].chars().count()));
                &url[at..]
            }
            None => url,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let text = "a = 1\né = \"x\"\n";
        let start = text.find('"').unwrap();
        let error = ConfigError::new(
            Location::at(Path::new("f.toml"), text, start..start + 3),
            "no",
        )
        .hint(Some("yes"));
        assert_eq!(
            error.to_string(),
            "f.toml:2:5: no\n 2 | é = \"x\"\n   |     ^^^\n hint: yes"
        );
    }

    #[test]
    fn a_span_beyond_the_text_is_its_end() {
        let place = Location::at(Path::new("f.toml"), "a =", 3..9);
        assert_eq!(place.to_string(), "f.toml:1:4");
    }

    #[test]
    fn a_span_at_the_end_of_a_line_stays_on_it() {
        let text = "a =\r\nb = 1\r\n";
        for at in 0..=text.len() {
            let place = Location::at(Path::new("f.toml"), text, at..at + 3);
            let _ = ConfigError::new(place, "no").to_string();
        }
        let place = Location::at(Path::new("f.toml"), text, 4..5);
        assert_eq!(place.to_string(), "f.toml:1:5");
    }

    #[test]
    fn secrets_and_passwords_are_masked() {
        assert_eq!(masked("secret = \"hunter2\""), "secret = …");
        assert_eq!(masked("secret_env = \"NAME\""), "secret_env = \"NAME\"");
        assert_eq!(masked("secret_env = \"hunter-2\""), "secret_env = …");
        assert_eq!(
            masked("a = { b = 1, secret = \"hunter2\" }"),
            "a = { b = 1, secret = …"
        );
        assert_eq!(
            masked("u = [\"http://a:b@c\", \"http://d\"]"),
            "u = [\"http://***@c\", \"http://d\"]"
        );
    }
}
