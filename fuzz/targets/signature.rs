//! The signature of a call: nothing but ours is believed.
#![no_main]

use gatepost::secret::{Secret, Secrets};
use gatepost::web::signature::{BodyHash, SignedParts, verify};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let secrets = Secrets {
        current: Secret::new(b"a-shared-secret-of-at-least-32-bytes".to_vec()),
        previous: None,
    };
    let fields = HeaderMap::new();
    let parts = SignedParts::of(&Method::POST, "/v1/publish", &fields, BodyHash::of(b"{}"));
    assert!(verify(&secrets, &header, &parts, 1_700_000_000).is_err());
});
