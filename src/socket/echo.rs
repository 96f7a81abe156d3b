//! The echo route: answers each message with itself, for conformance suites.
//!
//! Started by the handshake. The route knows no session, which is why the configuration refuses it
//! unless HTTPS is served on loopback only.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::Socket;
use super::closing::{self, ConnectionEnd};
use crate::close::CloseReason;
use crate::net::drain::DrainWatch;

/// Echoes until the client leaves or the gateway goes away, or sends more than `enough` without a message.
pub(super) async fn run(mut socket: Socket, enough: usize, drain: DrainWatch) {
    let end = tokio::select! {
        end = echo(&mut socket, enough) => end,
        () = drain.draining() => ConnectionEnd::Close(CloseReason::GoingAway { delay_ms: 0 }),
    };
    closing::finish(socket, end).await;
}

async fn echo(socket: &mut Socket, enough: usize) -> ConnectionEnd {
    while let Some(message) = socket.next().await {
        socket.get_mut().allow(enough);
        let sent = match message {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            return closing::end_of(&error);
        }
    }
    ConnectionEnd::Gone
}
