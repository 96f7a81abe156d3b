//! Which answers are made to be heard at once.
//!
//! Asked by `forward`. The surprise: what is old in them is worth nothing, so they are kept for nobody,
//! and an event stream may be silent for as long as it likes.

use http::header::{self, HeaderMap};

/// The types of such answers.
const STREAMS: [&str; 3] = [
    "text/event-stream",
    "application/x-ndjson",
    "multipart/x-mixed-replace",
];

/// Whether an answer may be kept for a client that is slow.
pub(super) fn may_be_kept(fields: &HeaderMap) -> bool {
    let asked = fields
        .get("x-accel-buffering")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no"));
    !asked && !STREAMS.iter().any(|stream| is_of_type(fields, stream))
}

/// Whether an answer is an event stream.
pub(super) fn is_event_stream(fields: &HeaderMap) -> bool {
    is_of_type(fields, STREAMS[0])
}

/// Whether an answer is of a media type, whatever its parameters.
fn is_of_type(fields: &HeaderMap, media_type: &str) -> bool {
    let field = fields.get(header::CONTENT_TYPE);
    let named = field.and_then(|value| value.to_str().ok()?.split(';').next());
    named.is_some_and(|named| named.trim().eq_ignore_ascii_case(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let parsed = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        parsed
            .collect::<Vec<(http::HeaderName, _)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn what_is_made_to_be_heard_at_once_is_not_kept() {
        for (name, value) in [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("content-type", "Application/X-NDJSON"),
            ("x-accel-buffering", "no"),
        ] {
            assert!(!may_be_kept(&fields(&[(name, value)])), "{value}");
        }
        for (name, value) in [
            ("content-type", "text/html"),
            ("content-type", "text/event-streams"),
            ("x-accel-buffering", "yes"),
        ] {
            assert!(may_be_kept(&fields(&[(name, value)])), "{value}");
        }
    }
}
