//! Whether an answer is compressed, and what its fields then say.
//!
//! Called by `forward`. Only the head is looked at, so that the answer to a HEAD request says what the one
//! to a GET would.

use std::net::IpAddr;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;

use super::encoder::{EncoderTicket, Encoders};
use crate::config::DynamicCompression;
use crate::web::compression_terms::CompressionTerms;
use crate::web::encoding::Encoding;
use crate::web::headers::{has_token, list};
use crate::web::media_type;

/// Fields about the bytes as they were.
const OF_CONTENT: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Rewrites the head of an answer to this client, and gives what its body needs if that is to be compressed.
pub(in crate::proxy) fn prepare(
    parts: &mut Parts,
    terms: &CompressionTerms,
    encoders: &Encoders,
    client: IpAddr,
) -> Option<EncoderTicket> {
    if parts.status == StatusCode::NOT_MODIFIED {
        confirm(&mut parts.headers, terms);
        return None;
    }
    if !is_compressible(parts, terms) {
        return None;
    }
    add_vary(&mut parts.headers);
    if terms.encoding == Encoding::Identity || !may_be_compressed(&parts.headers, terms) {
        return None;
    }
    let fields = &mut parts.headers;
    let ticket = encoders.ticket(terms.encoding, length(fields), client)?;
    for name in &OF_CONTENT {
        fields.remove(name);
    }
    weaken(fields);
    let name = HeaderValue::from_static(terms.encoding.name());
    fields.insert(header::CONTENT_ENCODING, name);
    Some(ticket)
}

/// Whether an answer like this one might be compressed for somebody.
fn is_compressible(parts: &Parts, terms: &CompressionTerms) -> bool {
    let (status, fields) = (parts.status, &parts.headers);
    let is_whole = status != StatusCode::NO_CONTENT
        && status != StatusCode::RESET_CONTENT
        && status != StatusCode::PARTIAL_CONTENT;
    is_whole
        && !fields.contains_key(header::CONTENT_ENCODING)
        && !fields.contains_key(header::CONTENT_RANGE)
        && media_type::is_text(fields)
        && length(fields).is_none_or(|length| length >= terms.min_size)
        && !has_token(fields, &header::CACHE_CONTROL, "no-transform")
}

/// Whether this one may be, as far as it says itself. `private="set-cookie"` is private too.
fn may_be_compressed(fields: &HeaderMap, terms: &CompressionTerms) -> bool {
    let mut policies = list(fields, &header::CACHE_CONTROL);
    let is_private = |policy: &[u8]| {
        let name = policy.split(|byte| *byte == b'=').next();
        name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"private"))
    };
    terms.dynamic == DynamicCompression::All
        || !(fields.contains_key(header::SET_COOKIE) || policies.any(is_private))
}

fn length(fields: &HeaderMap) -> Option<u64> {
    let length = fields.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A client that has the compressed answer knows it by its weak tag, and must not be given another one.
fn confirm(fields: &mut HeaderMap, terms: &CompressionTerms) {
    let (Some(tag), Some(held)) = (fields.get(header::ETAG), &terms.held) else {
        return;
    };
    let weak = [b"W/", tag.as_bytes()].concat();
    let mut held = held.as_bytes().windows(weak.len());
    if tag.as_bytes().starts_with(b"\"") && held.any(|part| part == weak) {
        weaken(fields);
        add_vary(fields);
    }
}

/// Compressed bytes are others than those that a strong tag stands for (RFC 9110 8.8.1).
fn weaken(fields: &mut HeaderMap) {
    let tag = fields.get(header::ETAG).map(HeaderValue::as_bytes);
    let Some(tag) = tag.filter(|tag| tag.starts_with(b"\"")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag].concat()) {
        fields.insert(header::ETAG, weak);
    }
}

fn add_vary(fields: &mut HeaderMap) {
    let varies = has_token(fields, &header::VARY, "accept-encoding");
    if !varies && !has_token(fields, &header::VARY, "*") {
        let name = HeaderValue::from_static("Accept-Encoding");
        fields.append(header::VARY, name);
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn answer(status: u16, fields: &[(&'static str, &str)]) -> Parts {
        let mut builder = Response::builder().status(status);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn terms(dynamic: DynamicCompression) -> CompressionTerms {
        CompressionTerms {
            encoding: Encoding::Brotli,
            dynamic,
            min_size: 1024,
            held: Some(HeaderValue::from_static("\"a\", W/\"b\"")),
        }
    }

    /// The fields after it, and whether the body is to be compressed.
    fn prepared(
        status: u16,
        fields: &[(&'static str, &str)],
        terms: &CompressionTerms,
    ) -> (HeaderMap, bool) {
        let mut parts = answer(status, fields);
        let ticket = prepare(&mut parts, terms, &Encoders::default(), client(1));
        (parts.headers, ticket.is_some())
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
    const LONG: (&str, &str) = ("content-length", "1024");

    #[test]
    fn a_compressed_answer_says_so_and_nothing_of_the_bytes_it_was() {
        let before = [
            HTML,
            LONG,
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
            ("content-md5", "x"),
            ("repr-digest", "sha-256=:x:"),
            ("vary", "Cookie"),
            ("last-modified", "x"),
        ];
        let (fields, compressed) = prepared(200, &before, &terms(DynamicCompression::Public));
        assert!(compressed);
        let mut named: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        named.sort();
        let expected = [
            "content-encoding: br",
            "content-type: text/html; charset=utf-8",
            "etag: W/\"a\"",
            "last-modified: x",
            "vary: Accept-Encoding",
            "vary: Cookie",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn what_is_no_whole_text_is_left_as_it_is() {
        let terms = terms(DynamicCompression::All);
        for (status, more) in [
            (204, &[HTML][..]),
            (205, &[HTML]),
            (206, &[HTML, LONG]),
            (304, &[HTML, LONG]),
            (200, &[HTML, LONG, ("content-range", "bytes 0-9/10")]),
            (200, &[HTML, LONG, ("content-encoding", "gzip")]),
            (200, &[HTML, LONG, ("content-encoding", "identity")]),
            (
                200,
                &[HTML, LONG, ("cache-control", "public, no-transform")],
            ),
            (200, &[HTML, ("content-length", "1023")]),
            (200, &[("content-type", "image/png"), LONG]),
            (200, &[LONG]),
        ] {
            let (fields, compressed) = prepared(status, more, &terms);
            assert!(!compressed, "{more:?}");
            assert_eq!(fields, answer(status, more).headers);
        }
        for (status, more) in [
            (200, &[HTML][..]),
            (404, &[HTML, LONG]),
            (500, &[HTML, LONG]),
        ] {
            assert!(prepared(status, more, &terms).1, "{more:?}");
        }
    }

    #[test]
    fn what_is_for_one_client_varies_all_the_same() {
        let public = terms(DynamicCompression::Public);
        for more in [
            ("set-cookie", "csrftoken=x"),
            ("cache-control", "max-age=0, Private"),
            ("cache-control", "private=\"set-cookie\""),
        ] {
            let (fields, compressed) = prepared(200, &[HTML, LONG, more], &public);
            assert!(!compressed, "{more:?}");
            assert_eq!(
                (&fields["vary"], &fields["content-length"]),
                (
                    &"Accept-Encoding".parse().unwrap(),
                    &"1024".parse().unwrap()
                )
            );
            let all = terms(DynamicCompression::All);
            assert!(prepared(200, &[HTML, LONG, more], &all).1);
        }
        let without = CompressionTerms {
            encoding: Encoding::Identity,
            ..public
        };
        let (fields, compressed) =
            prepared(200, &[HTML, ("vary", "accept-encoding, Cookie")], &without);
        assert_eq!(
            (compressed, fields.get_all("vary").iter().count()),
            (false, 1)
        );
    }

    #[test]
    fn a_client_hears_the_tag_that_it_has() {
        let public = terms(DynamicCompression::Public);
        for (tag, told) in [
            ("\"a\"", "\"a\""),
            ("\"b\"", "W/\"b\""),
            ("W/\"b\"", "W/\"b\""),
        ] {
            let (fields, _) = prepared(304, &[("etag", tag)], &public);
            assert_eq!(fields["etag"], told);
        }
        assert!(prepared(304, &[], &public).0.is_empty());
    }

    #[test]
    fn where_no_memory_is_left_answers_stay_as_they_are() {
        let (encoders, terms) = (Encoders::default(), terms(DynamicCompression::All));
        let of_client = |last| {
            let mut parts = answer(200, &[HTML, LONG]);
            let ticket = prepare(&mut parts, &terms, &encoders, client(last));
            (parts.headers, ticket)
        };
        let mut tickets = Vec::new();
        for last in [1, 2, 3, 4] {
            let mut of_one = 0;
            while let (_, Some(ticket)) = of_client(last) {
                tickets.push(ticket);
                of_one += 1;
            }
            assert_eq!(of_one, 7, "{last}");
        }
        assert!(of_client(5).1.is_some(), "what is over");
        drop(tickets.split_off(7));
        let (fields, ticket) = of_client(1);
        assert!(ticket.is_none(), "one address has its share alone");
        assert_eq!(
            (&fields["vary"], &fields["content-length"]),
            (
                &"Accept-Encoding".parse().unwrap(),
                &"1024".parse().unwrap()
            )
        );
        assert!(of_client(2).1.is_some());
        tickets.pop();
        assert!(of_client(1).1.is_some(), "it comes back");
    }
}
