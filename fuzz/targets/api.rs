//! The bodies of the internal API, and what rides on Django's answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gatepost::publish::fuzzing::decode(bytes));
