//! WebSockets that the gateway ends itself.
//!
//! `server` hands every request at a socket route to its [`SocketRoute`]. The way of a handshake reads
//! top-down: `origin`, `handshake`, then a task of its own per connection in `connection`, ended by
//! `closing`. The surprise: the 101 is answered before anything is known to be wrong with the
//! session, because a browser cannot see the status of a refused handshake, only a close code.

mod accept;
mod closing;
mod connection;
mod echo;
mod handshake;
mod message;
mod origin;

use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::session::LARGEST_ANSWER;

pub use accept::HandshakeError;
pub use handshake::{SocketParts, SocketRoute};
pub use origin::{OriginError, OriginRule};

/// The stream of one connection.
type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// tungstenite allocates and zeroes its read buffer at once: 128 KiB by default.
const READ_BUFFER: usize = 1024;
/// Frames of one batch collect here and leave as one TLS record.
const WRITE_BUFFER: usize = 16 * 1024;

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
    /// For a client to take what is written.
    pub write_timeout: Duration,
}

impl SocketSettings {
    /// tungstenite's settings; its defaults would cost 138 KiB a connection and bound nothing.
    fn codec(&self) -> WebSocketConfig {
        // A publication, a pong, or a frame of Django's judgement.
        let largest_answer = self
            .largest_frame
            .max(self.message_size)
            .max(LARGEST_ANSWER);
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(2 * (WRITE_BUFFER + largest_answer))
            .max_message_size(Some(self.message_size))
            .max_frame_size(Some(self.message_size))
    }
}
