//! The kind of `limits.refuse`: paths that no honest client asks for.
//!
//! What is compared is the decoded path, so that no spelling gets around it, and what is written here
//! is decoded, too.

use super::kind::ValueKind;

/// Paths that are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedPath {
    /// Those that begin so.
    Prefix(String),
    /// Those that end so.
    Ending(String),
}

impl RefusedPath {
    /// Whether a decoded path is one of them.
    pub fn has(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Self::Ending(ending) => path.ends_with(ending.as_str()),
        }
    }
}

pub(super) const REFUSED_PATH: ValueKind<RefusedPath> = ValueKind {
    expected: "how a path begins, such as \"/wp-\", or how it ends, such as \"*.php\"",
    parse: |text| {
        if text.contains('%') {
            let hint = "write the path as it reads: it is compared decoded";
            return Err(Some(hint.to_owned()));
        }
        let rest = text.strip_prefix('*').unwrap_or(text);
        if rest.contains(['*', '?', '#', '\\']) || rest.chars().any(char::is_control) {
            let hint = "one star, in front, is all there is of patterns";
            return Err(Some(hint.to_owned()));
        }
        match (text.strip_prefix('*'), text) {
            (_, "/" | "*" | "*/") => Err(Some("this would refuse every page".to_owned())),
            (Some(ending), _) if !ending.is_empty() => Ok(RefusedPath::Ending(ending.to_owned())),
            (None, prefix) if prefix.starts_with('/') => Ok(RefusedPath::Prefix(prefix.to_owned())),
            _ => Err(None),
        }
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> RefusedPath {
        (REFUSED_PATH.parse)(text).unwrap()
    }

    #[test]
    fn a_beginning_or_an_ending_is_compared_with_the_decoded_path() {
        assert!(refused("/wp-").has("/wp-admin/x") && !refused("/wp-").has("/blog/wp-"));
        assert!(refused("*.php").has("/a/index.php") && !refused("*.php").has("/a.php/x"));
        assert!(refused("/.git").has("/.git/config"));
    }

    #[test]
    fn what_would_refuse_everything_or_is_a_pattern_is_none() {
        for text in [
            "", "/", "*", "*/", "wp-", "/a*", "*.*", "/%2egit", "/a?b", "/a\nb",
        ] {
            assert!((REFUSED_PATH.parse)(text).is_err(), "{text:?}");
        }
    }
}
