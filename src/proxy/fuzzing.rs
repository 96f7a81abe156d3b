//! What fuzz targets may call (`fuzz/`).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{HeaderValue, Response};

use super::compress::{self, Encoders};
use super::internal_redirect;
use super::kind::UpstreamKind;
use super::{liveness, reuse, rewrite};
use crate::config::DynamicCompression;
use crate::web::compression_terms::CompressionTerms;
use crate::web::encoding::Encoding;
use crate::web::headers::has_token;

/// The head of an upstream's answer, to a client with these fields, made one for a browser: it says nothing twice that
/// can be said once, and nothing of what it was before.
pub fn answer(response: Response<()>, client: &HeaderMap) {
    if !rewrite::is_plainly_framed(response.headers()) {
        return;
    }
    reuse::idle_limit(&response);
    liveness::idle_limit(response.headers(), Duration::from_secs(1));
    let may_be_stored = liveness::may_be_stored(response.headers());
    let (mut parts, ()) = response.into_parts();
    internal_redirect::record(&mut parts, UpstreamKind::Django);
    rewrite::response(&mut parts);
    for name in parts.headers.keys() {
        assert!(!name.as_str().starts_with("gatepost-"), "{name}");
        assert!(!name.as_str().starts_with("x-accel-"), "{name}");
    }
    assert!(!parts.headers.contains_key(header::TRANSFER_ENCODING));
    let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    assert!(lengths.count() <= 1);
    let terms = CompressionTerms {
        encoding: Encoding::choose(client, |_| true),
        dynamic: DynamicCompression::Public,
        min_size: 1024,
        held: client.get(header::IF_NONE_MATCH).cloned(),
    };
    let (before, here) = (parts.headers.clone(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let encoders = Encoders::default();
    let ticket = compress::prepare(&mut parts, &terms, &encoders, here);
    let fields = &parts.headers;
    if ticket.is_none() {
        let encoding = |fields: &HeaderMap| fields.get(header::CONTENT_ENCODING).cloned();
        assert_eq!(encoding(fields), encoding(&before));
        return;
    }
    assert!(may_be_stored || fields.contains_key(header::CONTENT_TYPE));
    assert!(!before.contains_key(header::CONTENT_ENCODING));
    assert!(!before.contains_key(header::SET_COOKIE));
    assert!(!has_token(&before, &header::CACHE_CONTROL, "private"));
    assert_eq!(fields[header::CONTENT_ENCODING], terms.encoding.name());
    assert!(!fields.contains_key(header::CONTENT_LENGTH));
    let varies = |name| has_token(fields, &header::VARY, name);
    assert!(varies("accept-encoding") || varies("*"));
    let is_strong = |tag: &HeaderValue| tag.as_bytes().starts_with(b"\"");
    assert!(!fields.get(header::ETAG).is_some_and(is_strong));
}
