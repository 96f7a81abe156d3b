//! A WebSocket client that was let in, until it leaves.

use std::sync::Arc;

use super::connection::{Connection, SocketClient};
use super::outcome::Outcome;
use super::parts::SocketParts;
use super::{Socket, echo};
use crate::net::per_address::AddressPermit;
use crate::telemetry::span;

/// What a handshake leaves to its connection.
pub(super) struct Guest {
    /// Its place among all, and among those of its address.
    pub(super) permit: AddressPermit,
    pub(super) client: SocketClient,
}

impl Guest {
    /// A connection's life after its judgement.
    pub(super) async fn serve(self, parts: Arc<SocketParts>, socket: Socket, outcome: Outcome) {
        match outcome {
            // Boxed: every connection's task would hold room for it.
            Outcome::Echo => {
                let enough = parts.settings.between_messages();
                Box::pin(echo::run(socket, enough, parts.drain.clone())).await;
            }
            Outcome::Close(reason) => Box::pin(parts.close(socket, reason)).await,
            Outcome::StayAway(reason, delay) => {
                Box::pin(parts.send_to_login(socket, reason, delay)).await;
            }
            Outcome::Serve { joined, greeting } => {
                let member = joined.member();
                span::record("connection", || member.id);
                span::record("user", || member.identity().user.clone());
                Connection::new(socket, joined, parts, self.client)
                    .run(greeting, self.permit)
                    .await;
            }
        }
    }
}
