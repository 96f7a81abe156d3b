//! The whole gateway against scripted upstreams: one binary, so that linking happens once.
//!
//! Each module is named after a behaviour; `harness` has the gateway, the upstreams and the clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]
#![allow(
    clippy::too_many_lines,
    clippy::too_many_arguments,
    clippy::format_push_string,
    clippy::large_futures,
    clippy::unused_async,
    reason = "a test tells its story in one place, and nobody waits for it"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "scripted peers are not part of the gateway's drain"
)]
#![allow(
    unreachable_pub,
    clippy::must_use_candidate,
    clippy::missing_panics_doc,
    reason = "the harness is read like a library but is none"
)]

mod access_log;
mod acme;
mod activation;
mod behind;
mod buffering;
mod by_permission;
mod cli;
mod clock;
mod compression;
mod config_errors;
mod counting;
mod diagnosis;
mod downgrade;
mod drain;
mod early_answers;
mod edge;
mod faults;
mod files;
mod floods;
mod frames;
mod half_close;
mod handshake;
mod harness;
mod hints;
mod leases;
mod limits;
mod living;
mod monitoring;
mod one_process;
mod operations;
mod otel;
mod outbox;
mod over_http2;
mod overload;
mod own_answers;
mod presence;
mod proxying;
mod publish_api;
mod queue;
mod regressions;
mod rehearsal;
mod relay;
mod reload;
mod request_grammar;
mod request_limits;
mod resume;
mod secrets;
mod slow_clients;
mod slow_consumer;
mod spans;
mod storm;
mod streaming;
mod streams;
mod subprotocol;
mod tls;
mod topics;
mod trace;
mod traps;
mod trust;
mod tunnel;
mod upgrade;
mod views;
