//! What a page brings along and asks for: tokens, queries and messages about topics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        gatepost::socket::fuzzing::read(text);
    }
});
