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

/// Whether a message is of this media type.
pub fn is(fields: &HeaderMap, media_type: &str) -> bool {
    essence(fields).eq_ignore_ascii_case(media_type.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

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
