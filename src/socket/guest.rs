//! A WebSocket client that was let in, until it leaves.

use std::pin::Pin;
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

/// Keeps the client's place until the end.
async fn keeping(permit: AddressPermit, until: impl Future<Output = ()>) {
    until.await;
    drop(permit);
}

impl Guest {
    /// A connection's life after its judgement. Each is a box as large as that life needs: an `async fn`
    /// would be as large as the largest, and have room for what it is given twice, for as long as the client stays.
    pub(super) fn serve(
        self,
        parts: Arc<SocketParts>,
        socket: Socket,
        outcome: Outcome,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Self { permit, client } = self;
        match outcome {
            Outcome::Echo => {
                let enough = parts.settings.between_messages();
                let run = echo::run(socket, enough, parts.drain.clone());
                Box::pin(keeping(permit, run))
            }
            Outcome::Close(reason) => Box::pin(keeping(permit, async move {
                parts.close(socket, reason).await;
            })),
            Outcome::StayAway(reason, delay) => Box::pin(keeping(permit, async move {
                parts.send_to_login(socket, reason, delay).await;
            })),
            Outcome::Serve { joined, greeting } => {
                let member = joined.member();
                span::record("connection", || member.id);
                span::record("user", || member.identity().user.clone());
                let connection = Box::new(Connection::new(socket, joined, parts, client));
                Box::pin(connection.run(greeting, permit))
            }
        }
    }
}
