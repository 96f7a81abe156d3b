//! The path as Django will see it: decoded once, and refused where two readers could differ.
//!
//! Used by `admit` for every request. The surprise: bytes that are not UTF-8 after decoding become
//! U+FFFD, which no route contains, so that they fall through to the route that answers everything.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with one slash (`*`, `//host/…`).
    #[error("the path must begin with exactly one slash")]
    Start,
    /// It has a byte that must be percent-encoded.
    #[error("the path or query has a character that must be percent-encoded")]
    RawCharacter,
    /// `%` without two hexadecimal digits.
    #[error("the path has a `%` that two hexadecimal digits do not follow")]
    Percent,
    /// A NUL, however spelled.
    #[error("the path has a NUL")]
    Nul,
    /// Another control character, however spelled: some log, terminal or header behind would act upon it.
    #[error("the path has a control character")]
    Control,
    /// A backslash, however spelled.
    #[error("the path has a backslash")]
    Backslash,
    /// `%2F`: a slash for one reader, a character for another.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// `.` or `..` as a segment, however spelled.
    #[error("the path has a dot segment")]
    DotSegment,
}

/// Decodes a request's path once.
pub fn decode(raw: &str) -> Result<String, PathError> {
    if !raw.starts_with('/') || raw.starts_with("//") {
        return Err(PathError::Start);
    }
    check_raw(raw)?;
    let decoded = match percent_decode_str(raw).decode_utf8_lossy() {
        Cow::Borrowed(text) => text.to_owned(),
        // Also those of Unicode, U+0080 to U+009F.
        Cow::Owned(text) if text.contains(char::is_control) => return Err(PathError::Control),
        Cow::Owned(text) => text,
    };
    if has_dot_segment(&decoded) {
        return Err(PathError::DotSegment);
    }
    Ok(decoded)
}

/// Looks at segments only where one begins with a dot: to take a path apart costs ten times as much.
fn has_dot_segment(path: &str) -> bool {
    let mut pairs = path.as_bytes().windows(2);
    pairs.any(|pair| pair == b"/.") && path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Whether a query has only characters that a URL may have.
pub fn check_query(query: &str) -> Result<(), PathError> {
    if query.bytes().all(|byte| (0x21..0x7F).contains(&byte)) {
        return Ok(());
    }
    Err(PathError::RawCharacter)
}

fn check_raw(raw: &str) -> Result<(), PathError> {
    let bytes = raw.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            b'%' => check_escape(bytes.get(index + 1), bytes.get(index + 2))?,
            0x21..0x7F => {}
            _ => return Err(PathError::RawCharacter),
        }
    }
    Ok(())
}

fn check_escape(high: Option<&u8>, low: Option<&u8>) -> Result<(), PathError> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    match (digit(high), digit(low)) {
        (Some(0), Some(0)) => Err(PathError::Nul),
        (Some(0x2), Some(0xF)) => Err(PathError::EncodedSlash),
        (Some(0x5), Some(0xC)) => Err(PathError::Backslash),
        (Some(_), Some(_)) => Ok(()),
        _ => Err(PathError::Percent),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_decoded_once() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/a%20b/", "/a b/"),
            ("/%69nternal/", "/internal/"),
            ("/100%25/", "/100%/"),
            ("/%252e%252e/", "/%2e%2e/"),
            ("/caf%C3%A9", "/café"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a..b/...", "/a..b/..."),
            ("/a//b", "/a//b"),
        ] {
            assert_eq!(decode(raw).as_deref(), Ok(decoded), "{raw}");
        }
    }

    #[test]
    fn spellings_that_two_readers_take_differently_are_refused() {
        for (raw, error) in [
            ("*", PathError::Start),
            ("", PathError::Start),
            ("//internal/", PathError::Start),
            ("/a%00", PathError::Nul),
            ("/a%0d%0aSet-Cookie:%20x=1", PathError::Control),
            ("/%09", PathError::Control),
            ("/a%1B[31m", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a%C2%85b", PathError::Control),
            ("/a\\b", PathError::Backslash),
            ("/a%5cb", PathError::Backslash),
            ("/a%5Cb", PathError::Backslash),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/x/../internal", PathError::DotSegment),
            ("/x/%2e%2e/internal", PathError::DotSegment),
            ("/x/.%2E/internal", PathError::DotSegment),
            ("/./a", PathError::DotSegment),
            ("/a/..", PathError::DotSegment),
            ("/a%", PathError::Percent),
            ("/a%4", PathError::Percent),
            ("/a%zz", PathError::Percent),
            ("/a%+1", PathError::Percent),
            ("/é", PathError::RawCharacter),
        ] {
            assert_eq!(decode(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn an_overlong_slash_is_not_a_slash() {
        assert_eq!(decode("/a%c0%afb").map(|p| p.matches('/').count()), Ok(1));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(raw in "\\PC*") {
            let _ = decode(&raw);
        }

        #[test]
        fn what_is_let_through_holds_no_trap(raw in "/[a-z%0-9A-F./\\\\]{0,24}") {
            if let Ok(path) = decode(&raw) {
                prop_assert!(!path.contains('\\') && !path.contains(char::is_control));
                prop_assert!(!path.starts_with("//"));
                prop_assert!(path.split('/').all(|s| s != "." && s != ".."));
                prop_assert_eq!(path.matches('/').count(), raw.matches('/').count());
            }
        }
    }
}
