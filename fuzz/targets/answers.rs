//! What Django answers to the gateway's own questions: about sessions, and for its outbox; and streams that it
//! hands over.
#![no_main]

use gatepost::publish::fuzzing::page;
use gatepost::session::{Answer, fuzzing};
use gatepost::socket::fuzzing::describe;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

const NAMES: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::LOCATION,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("gatepost-session-cookie"),
];

/// A status and fields in a line each, then the body; or a body alone, which is JSON.
fn parts(bytes: &[u8]) -> Option<(u16, HeaderMap, &[u8])> {
    let (status, mut rest) = bytes.split_at_checked(3)?;
    let Ok(status) = str::from_utf8(status).ok()?.parse() else {
        let json = HeaderValue::from_static("application/json");
        return Some((
            200,
            HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
            bytes,
        ));
    };
    let mut fields = HeaderMap::new();
    for name in NAMES {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        if end > 0 {
            fields.insert(name, HeaderValue::from_bytes(&rest[..end]).ok()?);
        }
        rest = &rest[end + 1..];
    }
    Some((status, fields, rest))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((status, fields, body)) = parts(bytes) else {
        return;
    };
    fuzzing::judgement(status, &fields, body);
    fuzzing::batch(body);
    page(body);
    describe(body);
    if let Ok(answer) = Answer::decode(body) {
        let _ = answer.identity(Box::default());
    }
});
