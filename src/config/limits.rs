//! `[limits]`: what a client may take.
//!
//! The surprise: some bounds are those of the parts behind; hyper panics below 8 KiB of header
//! buffer, and `http::Uri` holds no more than 65,534 bytes.

use std::time::Duration;

use super::document::Document;
use super::kind::{BYTE_RATE_OR_ZERO, DURATION, DURATION_OR_ZERO, RATE, RATE_OR_ZERO, SIZE};
use super::refuse::{REFUSED_PATH, RefusedPath};
use super::section::Section;

/// `[limits]`: what a client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's header section.
    pub header_size: usize,
    /// Fields in a request's header section.
    pub headers: usize,
    /// Bytes of a request's target.
    pub uri_size: usize,
    /// Bytes of a request's body.
    pub body_size: u64,
    /// Bytes a second that a request's body must bring after its first ten seconds; `None`: any.
    pub body_rate: Option<u64>,
    /// Bytes of a client's WebSocket message.
    pub message_size: usize,
    /// Client messages a second, on average.
    pub message_rate: u32,
    /// Connections in all; `None`: what the descriptors allow.
    pub connections: Option<usize>,
    /// Connections of one user; `None`: any number.
    pub connections_per_user: Option<usize>,
    /// Connections without a session from one address (of IPv6: from one /64); `None`: any number.
    pub anonymous_per_address: Option<usize>,
    /// Topics that one connection may listen to; 0: none.
    pub topics_per_connection: usize,
    /// Connections at socket routes from one address (of IPv6: from one /64); `None`: any number.
    pub connections_per_address: Option<usize>,
    /// Handshakes a second from one address; `None`: any number.
    pub handshakes_per_address: Option<u32>,
    /// Requests a second from one address, files left out; `None`: any number.
    pub requests_per_address: Option<u32>,
    /// How many of them may come at once.
    pub requests_burst: usize,
    /// Paths that are refused.
    pub refuse: Vec<RefusedPath>,
    /// For the TLS handshake.
    pub tls_timeout: Duration,
    /// For a request's header section.
    pub header_timeout: Duration,
    /// For the next bytes of a request's body.
    pub body_timeout: Duration,
    /// For the next request on an idle connection.
    pub idle_timeout: Duration,
    /// For a client to take the next bytes of an answer.
    pub write_timeout: Duration,
    /// For connecting to an upstream.
    pub upstream_connect_timeout: Duration,
    /// For an upstream's next bytes.
    pub upstream_timeout: Duration,
    /// For everything under way to end at shutdown.
    pub drain_timeout: Duration,
    /// Over which sockets are closed at shutdown.
    pub drain_spread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_size: 32 << 10,
            headers: 100,
            uri_size: 8 << 10,
            body_size: 100 << 20,
            body_rate: Some(1 << 10),
            message_size: 64 << 10,
            message_rate: 20,
            connections: None,
            connections_per_user: Some(50),
            anonymous_per_address: Some(1000),
            topics_per_connection: 100,
            connections_per_address: None,
            handshakes_per_address: Some(200),
            requests_per_address: None,
            requests_burst: 100,
            refuse: Vec::new(),
            tls_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_secs(30),
            upstream_connect_timeout: Duration::from_secs(2),
            upstream_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(30),
            drain_spread: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let mut limits = Self::default();
        let mut section = document.section("limits");
        limits.read_sizes(&mut section);
        limits.read_crowds(&mut section);
        limits.read_timeouts(&mut section);
        if limits.uri_size > limits.header_size {
            section.refuse(
                "uri_size",
                "is more than limits.header_size, of which it is a part",
                None,
            );
        }
        if limits.drain_spread > limits.drain_timeout {
            let hint = "sockets that are not closed by then are cut off";
            section.refuse(
                "drain_spread",
                "is longer than limits.drain_timeout",
                Some(hint),
            );
        }
        limits
    }

    fn read_sizes(&mut self, section: &mut Section<'_, '_>) {
        set(
            &mut self.header_size,
            section.size("header_size", 8 << 10..=1 << 20),
        );
        set(&mut self.headers, section.count("headers", 1..=10_000));
        set(&mut self.uri_size, section.size("uri_size", 64..=65_534));
        set(&mut self.body_size, section.value("body_size", &SIZE));
        let rate = section.value("body_rate", &BYTE_RATE_OR_ZERO);
        set(
            &mut self.body_rate,
            rate.map(|rate| Some(rate).filter(|rate| *rate > 0)),
        );
        set(
            &mut self.message_size,
            section.size("message_size", 1..=64 << 20),
        );
        set(&mut self.message_rate, section.value("message_rate", &RATE));
    }

    /// Zero is no limit in all of them, but of topics.
    fn read_crowds(&mut self, section: &mut Section<'_, '_>) {
        set(
            &mut self.topics_per_connection,
            section.count("topics_per_connection", 0..=10_000),
        );
        let mut crowd = |field: &mut Option<usize>, key| {
            let count = section.count(key, 0..=100_000_000);
            set(
                field,
                count.map(|count| Some(count).filter(|count| *count > 0)),
            );
        };
        crowd(&mut self.connections, "connections");
        crowd(&mut self.connections_per_user, "connections_per_user");
        crowd(&mut self.connections_per_address, "connections_per_address");
        crowd(&mut self.anonymous_per_address, "anonymous_per_address");
        let mut rate = |field: &mut Option<u32>, key| {
            let rate = section.value(key, &RATE_OR_ZERO);
            set(field, rate.map(|rate| Some(rate).filter(|rate| *rate > 0)));
        };
        rate(&mut self.handshakes_per_address, "handshakes_per_address");
        rate(&mut self.requests_per_address, "requests_per_address");
        let burst = section.count("requests_burst", 1..=1_000_000);
        set(&mut self.requests_burst, burst);
        set(&mut self.refuse, section.list("refuse", &REFUSED_PATH));
    }

    fn read_timeouts(&mut self, section: &mut Section<'_, '_>) {
        set(
            &mut self.tls_timeout,
            section.value("tls_timeout", &DURATION),
        );
        set(
            &mut self.header_timeout,
            section.value("header_timeout", &DURATION),
        );
        set(
            &mut self.body_timeout,
            section.value("body_timeout", &DURATION),
        );
        set(
            &mut self.idle_timeout,
            section.value("idle_timeout", &DURATION),
        );
        set(
            &mut self.write_timeout,
            section.value("write_timeout", &DURATION),
        );
        set(
            &mut self.upstream_connect_timeout,
            section.value("upstream_connect_timeout", &DURATION),
        );
        set(
            &mut self.upstream_timeout,
            section.value("upstream_timeout", &DURATION),
        );
        set(
            &mut self.drain_timeout,
            section.value("drain_timeout", &DURATION),
        );
        set(
            &mut self.drain_spread,
            section.value("drain_spread", &DURATION_OR_ZERO),
        );
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
