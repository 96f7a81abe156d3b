//! The bodies and queries of the internal API, and what rides on Django's answers.
#![no_main]

use gatepost::django::fuzzing::texts;
use gatepost::publish::fuzzing::{decode, query};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const FIELD: HeaderName = HeaderName::from_static("gatepost-publish");

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        query(text);
    }
    if let Ok(line) = HeaderValue::from_bytes(bytes) {
        for text in texts(&HeaderMap::from_iter([(FIELD, line)]), FIELD) {
            decode(&text);
        }
    }
});
