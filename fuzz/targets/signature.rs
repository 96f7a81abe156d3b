//! The signature of a call, and the token of a topic: nothing but ours is believed.
#![no_main]

use gatepost::ids::TopicName;
use gatepost::secret::{Secret, Secrets};
use gatepost::token::{Token, TokenError, TokenReader};
use gatepost::web::signature::{BodyHash, SignedParts, verify};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

/// A token of another form is none; one of the form grants nothing.
fn read_token(secrets: &Secrets, text: &str) {
    if let Some(topic) = TopicName::new(text) {
        assert_eq!(topic.as_str(), text);
    }
    let Some(token) = Token::parse(text) else {
        return;
    };
    assert!(!token.topics().is_empty());
    let reader = TokenReader::new(secrets);
    for user in ["42", ""] {
        assert_eq!(reader.judge(&token, user, 1), Err(TokenError::NotAllowed));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let secrets = Secrets {
        current: Secret::new(b"a-shared-secret-of-at-least-32-bytes".to_vec()),
        previous: None,
    };
    if let Ok(text) = str::from_utf8(bytes) {
        read_token(&secrets, text);
    }
    let Ok(header) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let fields = HeaderMap::new();
    let parts = SignedParts::of(&Method::POST, "/v1/publish", &fields, BodyHash::of(b"{}"));
    assert!(verify(&secrets, &header, &parts, 1_700_000_000).is_err());
});
