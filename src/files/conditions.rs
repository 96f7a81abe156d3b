//! What a request makes its answer depend on: validators (RFC 9110 13) and ranges (14).
//!
//! Used by `answer`.

use std::ops::Range;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use httpdate::HttpDate;

use super::asset::Representation;

/// What the preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// They hold, or there are none.
    Go,
    /// The client has it already.
    NotModified,
    /// The client wanted another version.
    Failed,
}

/// What part was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// All of it.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// None that is there.
    Beyond,
}

/// Looks at the preconditions in their order (RFC 9110 13.2.2).
pub(super) fn judge(headers: &HeaderMap, current: &Representation) -> Precondition {
    let names = |field, comparison| names(headers, field, current.etag.as_ref(), comparison);
    let is_unmodified = |field| {
        let since = date(headers.get(field)?)?;
        current.modified.as_ref().map(|(at, _)| *at <= since)
    };
    let fails = match names(header::IF_MATCH, Comparison::Strong) {
        Some(is_named) => !is_named,
        None => is_unmodified(header::IF_UNMODIFIED_SINCE) == Some(false),
    };
    if fails {
        return Precondition::Failed;
    }
    let has_it = names(header::IF_NONE_MATCH, Comparison::Weak)
        .or_else(|| is_unmodified(header::IF_MODIFIED_SINCE));
    match has_it {
        Some(true) => Precondition::NotModified,
        _ => Precondition::Go,
    }
}

/// Which part of `current` is wanted. Several ranges, another unit and what is malformed may be
/// ignored, and are; so is a range of a version that is no more. An empty file has no part, and is
/// better given as it is: players and loaders ask for a range of whatever they load.
pub(super) fn part(headers: &HeaderMap, current: &Representation) -> RequestedRange {
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return RequestedRange::Whole;
    };
    let stale = headers
        .get(header::IF_RANGE)
        .is_some_and(|validator| is_stale(validator, current));
    if stale {
        return RequestedRange::Whole;
    }
    match current.identity.length {
        0 => RequestedRange::Whole,
        length => one_range(range.trim(), length).unwrap_or(RequestedRange::Whole),
    }
}

fn one_range(range: &str, length: u64) -> Option<RequestedRange> {
    let number = |digits: &str| {
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain)
    };
    let bytes = match range.split_once('-')? {
        ("", last) => length.saturating_sub(number(last)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some(if bytes.is_empty() {
        RequestedRange::Beyond
    } else {
        RequestedRange::Bytes(bytes)
    })
}

/// Whether a range is of another version than the file is now (RFC 9110 13.1.5).
fn is_stale(validator: &HeaderValue, current: &Representation) -> bool {
    let modified = current.modified.as_ref().map(|(_, text)| text);
    ![current.etag.as_ref(), modified].contains(&Some(validator))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags names `etag`; `None` where there is no list.
fn names(
    headers: &HeaderMap,
    field: HeaderName,
    etag: Option<&HeaderValue>,
    comparison: Comparison,
) -> Option<bool> {
    let mut lines = headers.get_all(field).iter().peekable();
    lines.peek()?;
    let etag = etag.map(HeaderValue::as_bytes);
    Some(lines.any(|line| {
        let mut in_quotes = false;
        let mut tags = line.as_bytes().split(|byte| {
            in_quotes ^= *byte == b'"';
            *byte == b',' && !in_quotes
        });
        tags.any(|tag| match tag.trim_ascii() {
            b"*" => true,
            [b'W', b'/', tag @ ..] => comparison == Comparison::Weak && Some(tag) == etag,
            tag => Some(tag) == etag,
        })
    }))
}

fn date(value: &HeaderValue) -> Option<HttpDate> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::identity::FileIdentity;

    /// Of ten bytes, changed at 1994-11-06 08:49:37.
    fn ten_bytes() -> Representation {
        let identity = FileIdentity {
            device: 1,
            inode: 1,
            length: 10,
            modified: (784_111_777, 5),
            changed: (0, 0),
        };
        Representation::new("ten.txt".into(), identity, None)
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        fields.iter().map(field).collect()
    }

    const TAG: &str = "\"2ebc98a1.00000005-a\"";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACTLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn preconditions_are_looked_at_in_their_order() {
        let (weak, list) = (format!("W/{TAG}"), format!("\"a,b\", {TAG} , \"c\""));
        for (fields, expected) in [
            (&[][..], Precondition::Go),
            (&[("if-none-match", TAG)], Precondition::NotModified),
            (&[("if-none-match", &weak)], Precondition::NotModified),
            (&[("if-none-match", &list)], Precondition::NotModified),
            (&[("if-none-match", "*")], Precondition::NotModified),
            (&[("if-none-match", "\"other\"")], Precondition::Go),
            (
                &[("if-none-match", "\"x\""), ("if-none-match", TAG)],
                Precondition::NotModified,
            ),
            (&[("if-modified-since", EXACTLY)], Precondition::NotModified),
            (&[("if-modified-since", BEFORE)], Precondition::Go),
            (&[("if-modified-since", "yesterday")], Precondition::Go),
            (
                &[("if-none-match", "\"x\""), ("if-modified-since", EXACTLY)],
                Precondition::Go,
            ),
            (&[("if-match", TAG)], Precondition::Go),
            (&[("if-match", "*")], Precondition::Go),
            (&[("if-match", &weak)], Precondition::Failed),
            (&[("if-match", "\"other\"")], Precondition::Failed),
            (&[("if-unmodified-since", EXACTLY)], Precondition::Go),
            (&[("if-unmodified-since", BEFORE)], Precondition::Failed),
            (
                &[("if-match", TAG), ("if-unmodified-since", BEFORE)],
                Precondition::Go,
            ),
            (
                &[("if-match", TAG), ("if-none-match", TAG)],
                Precondition::NotModified,
            ),
        ] {
            let mut asked = HeaderMap::new();
            for (name, value) in fields {
                asked.append(*name, value.parse().unwrap());
            }
            assert_eq!(judge(&asked, &ten_bytes()), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_range_is_cut_to_what_is_there_and_ignored_where_it_is_none() {
        for (range, expected) in [
            ("bytes=2-4", RequestedRange::Bytes(2..5)),
            ("bytes=0-", RequestedRange::Bytes(0..10)),
            ("bytes=9-99", RequestedRange::Bytes(9..10)),
            ("bytes=-3", RequestedRange::Bytes(7..10)),
            ("bytes=-99", RequestedRange::Bytes(0..10)),
            ("bytes=10-", RequestedRange::Beyond),
            ("bytes=-0", RequestedRange::Beyond),
            ("bytes=0-18446744073709551615", RequestedRange::Bytes(0..10)),
            ("bytes=0-1,2-3", RequestedRange::Whole),
            ("bytes=4-2", RequestedRange::Whole),
            ("bytes=a-b", RequestedRange::Whole),
            ("bytes=+1-2", RequestedRange::Whole),
            ("bytes=", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("items=0-1", RequestedRange::Whole),
        ] {
            let part = part(&headers(&[("range", range)]), &ten_bytes());
            assert_eq!(part, expected, "{range}");
        }
    }

    #[test]
    fn a_range_is_of_the_version_that_the_client_has_begun() {
        let weak = format!("W/{TAG}");
        for (validator, fresh) in [
            (TAG, true),
            (EXACTLY, true),
            (&weak, false),
            (BEFORE, false),
            ("\"other\"", false),
        ] {
            let asked = headers(&[("range", "bytes=0-1"), ("if-range", validator)]);
            let expected = if fresh {
                RequestedRange::Bytes(0..2)
            } else {
                RequestedRange::Whole
            };
            assert_eq!(part(&asked, &ten_bytes()), expected, "{validator}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_within(range in "(bytes=)?[0-9]{0,20}-[0-9]{0,20}(,[ -~]{0,9})?") {
            if let RequestedRange::Bytes(bytes) = part(&headers(&[("range", &range)]), &ten_bytes()) {
                prop_assert!(bytes.start < bytes.end && bytes.end <= 10);
            }
        }
    }
}
