//! gateway.toml: whatever stands there, each finding has a place in it.
#![no_main]

use std::path::Path;

use gatepost::config::{Environment, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = load::parse(text, Path::new("gateway.toml"), &Environment::default()) {
        assert!(!errors.to_string().is_empty());
    }
});
