//! The file that Django names in `X-Accel-Redirect` or `X-Sendfile`, decoded.
//!
//! Used by `internal`. What clients must percent-encode may stand here as it is, since nginx and
//! Apache take it so; but what two readers could read differently is refused as in a request's path.

use http::HeaderValue;

use crate::web::path::{self, PathError};

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    /// Nothing stands in the field.
    #[error("it is empty")]
    Empty,
    /// Django writes a field so whose characters are not in Latin-1.
    #[error("Django could not write its characters into a field")]
    Mime,
    /// It is no path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The path of an `X-Accel-Redirect`, decoded and without its query.
pub(super) fn url(value: &HeaderValue) -> Result<String, TargetError> {
    let bytes = value.as_bytes();
    let mut parts = bytes.split(|byte| *byte == b'?');
    let path = parts.next().filter(|_| !is_mime(bytes));
    decode(path.unwrap_or(bytes))
}

/// The path of an `X-Sendfile`, decoded.
pub(super) fn file(value: &HeaderValue) -> Result<String, TargetError> {
    decode(value.as_bytes())
}

fn is_mime(raw: &[u8]) -> bool {
    raw.starts_with(b"=?")
}

fn decode(raw: &[u8]) -> Result<String, TargetError> {
    if raw.is_empty() {
        return Err(TargetError::Empty);
    }
    if is_mime(raw) {
        return Err(TargetError::Mime);
    }
    let mut text = String::with_capacity(raw.len());
    for &byte in raw {
        match byte {
            // As the file system has it: several are one.
            b'/' if text.ends_with('/') => {}
            0x21..0x7F => text.push(byte.into()),
            other => text.push_str(percent_encoding::percent_encode_byte(other)),
        }
    }
    Ok(path::decode(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &'static str) -> Result<String, TargetError> {
        url(&HeaderValue::from_bytes(value.as_bytes()).unwrap())
    }

    #[test]
    fn a_target_is_decoded_once_and_loses_its_query() {
        for (value, path) in [
            ("/_private/a.pdf", "/_private/a.pdf"),
            ("/_private/a%20b%C3%A9.pdf?x=/..", "/_private/a bé.pdf"),
            ("/_private/a b é.pdf", "/_private/a b é.pdf"),
            ("/_private//a.pdf", "/_private/a.pdf"),
            ("//_private/a", "/_private/a"),
            ("/_private/100%25.pdf", "/_private/100%.pdf"),
            ("/_private/%2541", "/_private/%41"),
            ("/_private/a%3Fb#c", "/_private/a?b#c"),
        ] {
            assert_eq!(decoded(value).as_deref(), Ok(path), "{value}");
        }
        let question = HeaderValue::from_static("/srv/a?b");
        assert_eq!(file(&question).as_deref(), Ok("/srv/a?b"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_no_target() {
        for (value, error) in [
            ("", TargetError::Empty),
            ("?", TargetError::Empty),
            ("=?utf-8?b?L3A=?=", TargetError::Mime),
            ("@named", PathError::Start.into()),
            ("http://x/_private/a", PathError::Start.into()),
            ("/_private/../etc/passwd", PathError::DotSegment.into()),
            ("/_private/%2e%2e/etc", PathError::DotSegment.into()),
            ("/_private/a%2Fb", PathError::EncodedSlash.into()),
            ("/_private/a%00", PathError::Nul.into()),
            ("/_private/a\\b", PathError::Backslash.into()),
            ("/_private/a%5Cb", PathError::Backslash.into()),
            ("/_private/100%.pdf", PathError::Percent.into()),
        ] {
            assert_eq!(decoded(value), Err(error), "{value}");
        }
    }
}
