//! The gateway's own files in `.gatepost/`, whatever is in them: leases, the outbox's cursor, and
//! topics that were revoked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    gatepost::session::fuzzing::sealed(bytes);
    gatepost::publish::fuzzing::cursor(bytes);
    gatepost::hub::fuzzing::topics(bytes);
});
