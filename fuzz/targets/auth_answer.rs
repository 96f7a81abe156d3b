//! What Django's auth view answers.
#![no_main]

use gatepost::session::Answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(answer) = Answer::decode(bytes) {
        let _ = answer.identity(Box::default());
    }
});
