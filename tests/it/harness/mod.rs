//! What the tests are written with. A test reads like this:
//!
//! ```ignore
//! let django = Django::start().await;
//! django.signs_in("anns-session", "42");
//! let gateway = Gateway::in_front_of(&django).set("auth.timeout", "200ms").start().await;
//! let ann = gateway.browser().signed_in("anns-session");
//! let mut socket = ann.socket("/ws/notifications/").await;
//! gateway.api().publish(&json!({"to": {"user": "42"}, "frame": {"n": 1}})).await;
//! socket.expect_frame(r#"{"n":1}"#).await;
//! gateway.stop().await;
//! ```
//!
//! Everything listens on port 0 of 127.0.0.1, every wait has a deadline, and whatever was started
//! ends when its handle is dropped. [`Gateway`] alone wants to be stopped in words.

#![allow(
    dead_code,
    unused_imports,
    reason = "the harness is a vocabulary; not every word is in use at any time"
)]

pub mod answer;
pub mod api;
pub mod browser;
pub mod clock;
#[cfg(feature = "otel")]
pub mod collector;
pub mod django;
pub mod events;
pub mod frontend;
pub mod gateway;
pub mod hand_over;
pub mod http2;
pub mod http2_sockets;
pub mod operator;
pub mod pebble;
pub mod process;
pub mod raw;
pub mod server;
pub mod signature;
pub mod socket;
pub mod token;
pub mod wire;

use std::future::Future;
use std::panic::Location;
use std::time::{Duration, Instant};

pub use answer::{Answer, Gate};
pub use browser::{Browser, Page};
pub use clock::Clock;
pub use django::Django;
pub use frontend::Frontend;
pub use gateway::Gateway;
pub use http2_sockets::Http2;
pub use process::Process;
pub use serde_json::json;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The secret of every gateway the harness starts.
pub const SECRET: &str = "integration-secret-0123456789abcdef0123456789";

pub const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics where it was called when it does not before `deadline`.
#[track_caller]
pub fn eventually(
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        while !condition() {
            assert!(Instant::now() < end, "{caller}: not so within {deadline:?}");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Asks `question` until it answers; panics where it was called when it does not in time.
pub async fn eventually_some<T>(
    deadline: Duration,
    mut question: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(Instant::now() < end, "no answer within {deadline:?}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Awaits `future` at most [`PATIENCE`]; panics where it was called when it takes longer.
#[track_caller]
pub fn in_time<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
            panic!("{caller}: {what} took longer than {PATIENCE:?}");
        };
        output
    }
}
