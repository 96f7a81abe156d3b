//! While sockets of the old process are left, each of the two tells the other what concerns its clients too.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::channel::{self, Message};
use crate::net::drain::DrainWatch;
use crate::publish::intake::Intake;
use crate::publish::relay::RelayedItems;

/// What two processes say to each other.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) channel: UnixStream,
    pub(crate) items: RelayedItems,
    pub(crate) intake: Arc<Intake>,
}

impl Link {
    /// The same, but no longer than the gateway lives.
    pub(crate) async fn run_until(self, drain: DrainWatch) {
        tokio::select! {
            () = self.run() => {}
            () = drain.draining() => {}
        }
    }

    /// Carries it, until the other one has gone or this one has nothing more to say.
    pub(crate) async fn run(self) {
        let (heard, told) = self.channel.into_split();
        tokio::select! {
            () = hear(heard, &self.intake) => tracing::debug!("the other process has gone"),
            () = tell(told, self.items) => {}
        }
    }
}

async fn hear(mut channel: OwnedReadHalf, intake: &Intake) {
    while let Ok(message) = channel::receive(&mut channel).await {
        if let Message::Relay(item) = message {
            intake.take_relayed(item);
        }
    }
}

async fn tell(mut channel: OwnedWriteHalf, mut items: RelayedItems) {
    while let Some(item) = items.next().await {
        if channel::send(&mut channel, &Message::Relay(item))
            .await
            .is_err()
        {
            return;
        }
    }
}
