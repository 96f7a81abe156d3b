//! The head of an upstream's answer, and what its client takes: however it is written, what goes on is one
//! for a browser, and compressed only where it may be.
#![no_main]

use gatepost::proxy::fuzzing::answer;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use libfuzzer_sys::fuzz_target;

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

fuzz_target!(|bytes: &[u8]| {
    // A status, and the fields of the answer; behind an empty line those of the request.
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| str::from_utf8(line).ok());
    let Some(Ok(status)) = status.map(|status| status.parse::<u16>()) else {
        return;
    };
    let Ok(mut response) = Response::builder().status(status).body(()) else {
        return;
    };
    let mut client = HeaderMap::new();
    let mut are_of_answer = true;
    for line in lines.take(32) {
        if line.is_empty() {
            are_of_answer = false;
        } else if let Some((name, value)) = field(line) {
            let fields = if are_of_answer {
                response.headers_mut()
            } else {
                &mut client
            };
            fields.append(name, value);
        }
    }
    answer(response, &client);
});
