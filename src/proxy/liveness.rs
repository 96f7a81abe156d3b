//! Which answers are made to be heard at once.
//!
//! Asked by `forward`. What is old in them is worth nothing, so they are never stored, and an event stream
//! may be silent for as long as it likes.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::web::media_type;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The types of such answers.
const STREAMS: [&str; 3] = [
    "text/event-stream",
    "application/x-ndjson",
    "multipart/x-mixed-replace",
];

/// Whether an answer may be stored for a client that is slow.
pub(super) fn may_be_stored(fields: &HeaderMap) -> bool {
    let asked = fields
        .get(X_ACCEL_BUFFERING)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no"));
    let kind = media_type::essence(fields);
    let is = |stream: &&str| kind.eq_ignore_ascii_case(stream.as_bytes());
    !asked && !STREAMS.iter().any(is)
}

/// How long the next part of an answer may take: an event stream's as long as it likes.
pub(super) fn idle_limit(fields: &HeaderMap, limit: Duration) -> Option<Duration> {
    (!media_type::is(fields, STREAMS[0])).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let parsed = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        parsed
            .collect::<Vec<(HeaderName, _)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn what_is_made_to_be_heard_at_once_is_not_stored() {
        for (name, value) in [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("content-type", "Application/X-NDJSON"),
            ("x-accel-buffering", "no"),
        ] {
            assert!(!may_be_stored(&fields(&[(name, value)])), "{value}");
        }
        for (name, value) in [
            ("content-type", "text/html"),
            ("content-type", "text/event-streams"),
            ("x-accel-buffering", "yes"),
        ] {
            assert!(may_be_stored(&fields(&[(name, value)])), "{value}");
        }
    }
}
