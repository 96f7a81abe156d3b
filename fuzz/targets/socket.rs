//! What a page says at its socket: where it comes from, its messages, and what it wants to listen to.
#![no_main]

use std::sync::LazyLock;

use gatepost::socket::{OriginRule, fuzzing};
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

static HOST: HeaderValue = HeaderValue::from_static("app.example.com:8443");
static RULE: LazyLock<OriginRule> = LazyLock::new(|| OriginRule {
    allowed: Box::new(["chrome-extension://abcdef".to_owned()]),
    required: true,
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes) {
        fuzzing::message(text);
        fuzzing::read(text);
    }
    let Ok(origin) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let fields = HeaderMap::from_iter([(header::ORIGIN, origin.clone())]);
    if RULE.check(&fields, &HOST).is_ok() {
        let origin = origin.to_str().unwrap().to_ascii_lowercase();
        let ours = [
            "https://app.example.com:8443",
            "https://app.example.com.:8443",
        ];
        assert!(
            ours.contains(&&*origin) || origin == "chrome-extension://abcdef",
            "{origin}"
        );
    }
    let twice = [origin.clone(), origin].map(|origin| (header::ORIGIN, origin));
    let mut fields = HeaderMap::new();
    for (name, value) in twice {
        fields.append(name, value);
    }
    assert!(RULE.check(&fields, &HOST).is_err());
});
