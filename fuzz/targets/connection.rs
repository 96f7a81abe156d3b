//! A connection's own bytes, below HTTP: how a proxy introduces it, of which never more is read than a header
//! may have, and the frames of HTTP/2.
#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gatepost::net::proxy_protocol::introduction;
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    for piece in [1, 7, 64] {
        gatepost::server::fuzzing::frames(bytes, piece);
    }
    let mut rest = bytes;
    let told = {
        let mut reading = pin!(introduction(&mut rest));
        // A slice is never waited for.
        match reading
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(told) => told,
            Poll::Pending => panic!("a slice is waited for"),
        }
    };
    let taken = bytes.len() - rest.len();
    assert!(taken <= LONGEST);
    if let Ok(Some(client)) = told {
        assert_eq!(client.ip(), client.ip().to_canonical());
        assert!(bytes.starts_with(b"PROXY TCP") || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21"));
        if bytes.starts_with(b"PROXY") {
            assert!(bytes[..taken].ends_with(b"\r\n") && taken <= 107);
        }
    }
});
