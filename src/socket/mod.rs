//! WebSockets that the gateway ends itself, and streams: responses that carry the same frames.
//!
//! `server` hands every request at a socket route to its [`SocketRoute`]. The way of a handshake reads
//! top-down: `origin`, `handshake`, then a task of its own per connection in `connection`, ended by
//! `closing`. The surprise: the 101 is answered before anything is known to be wrong with the
//! session, because a browser cannot see the status of a refused handshake, only a close code.

mod accept;
mod applicant;
mod closing;
mod connection;
mod connection_limits;
mod dialect;
mod echo;
mod envelope;
mod guest;
mod handshake;
mod handshake_span;
mod login_throttle;
mod message;
mod metered;
mod origin;
mod outcome;
mod parts;
mod pending_handshake;
mod second_look;
mod streams;
mod topics;
mod view_routes;
mod visitors;
mod welcome;
mod write;

use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use metered::Metered;

use crate::ids::ConnectionId;
use crate::net::gcra::Gcra;
use crate::session::LARGEST_ANSWER;
use crate::web::client_stream::ClientStream;

pub use accept::HandshakeError;
pub use connection_limits::ConnectionLimits;
pub use handshake::SocketRoute;
pub use login_throttle::LoginThrottle;
pub use origin::{OriginError, OriginRule};
pub use parts::SocketParts;
pub use streams::{HandedOver, HandedRequest};
pub use topics::TopicDesk;
pub use view_routes::{ViewRoute, ViewRoutes};
pub use visitors::Visitors;

/// The stream of one connection.
type Socket = WebSocketStream<Metered<ClientStream>>;

/// tungstenite allocates its read buffer at once, 128 KiB by default, and zeroes it for each read. Small, since
/// clients say little, and a longer message was read off the kernel by TLS before.
const READ_BUFFER: usize = 256;
/// Frames of one batch collect here and leave as one TLS record.
const WRITE_BUFFER: usize = 16 * 1024;

/// What an item's object has besides its content, in bytes: a topic's name, an event's, a position.
const LARGEST_HEAD: usize = 2 * 1024;

/// Into how many slots the time between two pings is divided.
const SLOTS: u32 = 50;

/// What connections of a socket route need to know.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// Bytes of a client's message.
    pub message_size: usize,
    /// Client messages a second.
    pub message_rate: u32,
    /// The most that is ever written at once: the outbox's size.
    pub largest_frame: usize,
    /// Between protocol pings.
    pub ping: Duration,
    /// From when the slots of pings are counted.
    pub began: Instant,
    /// For a client to take what is written.
    pub write_timeout: Duration,
}

impl SocketSettings {
    /// The end of the slot that `moment` falls into. The pings of one slot share one wake of the
    /// process; a wake for each would cost idle sockets three times the CPU.
    fn slot_end(&self, moment: Instant) -> Instant {
        let slot = (self.ping / SLOTS).as_nanos().max(1);
        let into = moment.saturating_duration_since(self.began).as_nanos() % slot;
        moment + Duration::from_nanos(u64::try_from(slot - into).unwrap_or(0))
    }

    /// When a connection is to show that it lives: after `least` of the ping interval up to a fifth more.
    fn next_wake(&self, connection: ConnectionId, least: f64) -> Instant {
        let jitter = least + 0.2 * f64::from(connection.low_bits()) / f64::from(u32::MAX);
        self.slot_end(Instant::now() + self.ping.mul_f64(jitter))
    }

    /// What a client may say: at once as much as in two seconds.
    fn message_budget(&self) -> Gcra {
        Gcra::new(self.message_rate, self.message_rate.saturating_mul(2))
    }

    /// The most bytes that come between two messages: a message that turns out too large with its last
    /// fragment, and the heads of many small ones.
    fn between_messages(&self) -> usize {
        2 * (self.message_size + 1024)
    }

    /// tungstenite's settings; its defaults would cost 138 KiB a connection and bound nothing.
    fn codec(&self) -> WebSocketConfig {
        // A publication, a pong, or a frame of Django's judgement.
        let largest_answer = self
            .largest_frame
            .max(self.message_size)
            .max(LARGEST_ANSWER);
        // In an object of JSON each byte of a text may become six.
        let largest_message = 6 * largest_answer + LARGEST_HEAD;
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(2 * (WRITE_BUFFER + largest_message))
            .max_message_size(Some(self.message_size))
            .max_frame_size(Some(self.message_size))
    }
}

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::message;
    pub use super::streams::fuzzing::describe;
    pub use super::topics::fuzzing::read;

    /// A client's text message. A pong is JSON, and never longer than its ping.
    pub fn message(text: &str) {
        if let Some(pong) = message::pong(text) {
            assert!(pong.len() <= text.len());
            let _: serde::de::IgnoredAny = serde_json::from_str(&pong).expect("a pong is JSON");
        }
        assert!(message::refusal(text).len() <= crate::close::LONGEST_REASON);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_that_are_due_in_one_slot_are_sent_together() {
        let began = Instant::now();
        let settings = SocketSettings {
            message_size: 1,
            message_rate: 1,
            largest_frame: 1,
            ping: Duration::from_secs(25),
            began,
            write_timeout: Duration::from_secs(1),
        };
        let end = |ms| settings.slot_end(began + Duration::from_millis(ms)) - began;
        assert_eq!([end(0), end(1), end(499)], [Duration::from_millis(500); 3]);
        assert_eq!(end(90_000_500), Duration::from_secs(90_001));
    }
}
