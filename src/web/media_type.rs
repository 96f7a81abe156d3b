//! The media type of a message, whatever its parameters.
//!
//! Used wherever a `Content-Type` decides something.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

/// The media type as it was written; empty where there is none.
pub fn essence(fields: &HeaderMap) -> &[u8] {
    let value = fields
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let end = value.iter().position(|byte| *byte == b';');
    value[..end.unwrap_or(value.len())].trim_ascii()
}

/// Text that is not called so.
const TEXT: [&str; 8] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/rtf",
    "application/sql",
    "application/yaml",
    "application/toml",
];

/// Whether a message is of this media type.
pub fn is(fields: &HeaderMap, media_type: &str) -> bool {
    essence(fields).eq_ignore_ascii_case(media_type.as_bytes())
}

/// Whether a message is text, which compression makes shorter.
pub fn is_text(fields: &HeaderMap) -> bool {
    let kind = essence(fields);
    let is = |known: &[u8]| kind.eq_ignore_ascii_case(known);
    let begins = kind
        .get(..5)
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"));
    let ends = kind.rsplit(|byte| *byte == b'+').next().unwrap_or_default();
    let structured = ends.len() < kind.len();
    begins
        || structured && (ends.eq_ignore_ascii_case(b"json") || ends.eq_ignore_ascii_case(b"xml"))
        || TEXT.iter().any(|known| is(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_known_by_its_type() {
        for (written, expected) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/csv", true),
            ("application/json", true),
            ("Application/Geo+JSON", true),
            ("image/svg+xml", true),
            ("application/xhtml+xml; charset=utf-8", true),
            ("image/png", false),
            ("application/pdf", false),
            ("application/octet-stream", false),
            ("application/zip+x", false),
            ("json", false),
            ("texts/html", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(written);
            let fields = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(is_text(&fields), expected, "{written}");
        }
    }

    #[test]
    fn parameters_and_letter_case_do_not_count() {
        for (written, expected) in [
            ("text/html", true),
            ("Text/HTML ; charset=utf-8", true),
            ("text/html-fragment", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(written);
            let fields = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(is(&fields, "text/html"), expected, "{written}");
        }
        assert!(!is(&HeaderMap::new(), "text/html"));
    }
}
