//! The gateway before, as the new program sees it.
//!
//! Found by `cli` before anything else; the gateway tells it when clients are accepted.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::getppid;
use tokio::net::UnixStream;

use super::super::shared::SharedParts;
use super::channel::{self, Bequest, InheritedListener, Message, PREDECESSOR};
use super::link::Link;
use crate::broker::BrokerSnapshot;
use crate::config::Environment;
use crate::net::inherited;
use crate::net::passed::PassedSocket;
use crate::publish::relay::RelayedItems;
use crate::telemetry::metrics::OutcomeLabel;

/// How long the other process may take for what it does without waiting for anybody.
const PATIENCE: Duration = Duration::from_secs(10);

/// The gateway whose place this process takes.
#[derive(Debug)]
pub struct Predecessor {
    channel: StdStream,
    sockets: Vec<InheritedSocket>,
}

/// Tells it why this process ends.
#[derive(Debug)]
pub struct LastWords(StdStream);

/// A listener that it opened.
#[derive(Debug)]
pub(crate) struct InheritedSocket {
    pub(crate) listener: InheritedListener,
    pub(crate) socket: PassedSocket,
}

/// It told this process to begin.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) channel: UnixStream,
    pub(crate) sockets: Vec<InheritedSocket>,
    pub(crate) broker: BrokerSnapshot,
}

/// It waits until this process serves.
#[derive(Debug)]
pub(crate) struct WaitingPredecessor {
    pub(crate) channel: UnixStream,
    /// What it is to be told from now on.
    pub(crate) items: RelayedItems,
}

impl Predecessor {
    /// The gateway that started this process to take its place; `None` where none did.
    pub fn find(environment: &Environment) -> io::Result<Option<Self>> {
        let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
        let named = environment.value(PREDECESSOR);
        if named.is_none() || named != parent.as_deref() {
            return Ok(None);
        }
        let channel = inherited::take_standard_input()?;
        channel.set_read_timeout(Some(PATIENCE))?;
        let (line, descriptors) = inherited::receive(&channel)?;
        let bequest: Bequest = serde_json::from_slice(&line).map_err(io::Error::other)?;
        let mut descriptors = descriptors.into_iter();
        let error = descriptors.next().ok_or(io::ErrorKind::InvalidData)?;
        inherited::set_standard_error(error)?;
        let pairs = bequest.listeners.into_iter().zip(descriptors);
        let sockets =
            pairs.map(|(listener, descriptor)| InheritedSocket::new(listener, descriptor));
        let sockets = sockets.collect::<io::Result<_>>()?;
        Ok(Some(Self { channel, sockets }))
    }

    /// What tells it why this process ends.
    pub fn last_words(&self) -> io::Result<LastWords> {
        self.channel.try_clone().map(LastWords)
    }

    /// Says that this process is ready, and waits until it may begin.
    pub(crate) async fn begin(self) -> io::Result<Legacy> {
        self.channel.set_nonblocking(true)?;
        let mut channel = UnixStream::from_std(self.channel)?;
        channel::send(&mut channel, &Message::Ready).await?;
        match tokio::time::timeout(PATIENCE, channel::receive(&mut channel)).await?? {
            Message::Go(broker) => Ok(Legacy {
                channel,
                sockets: self.sockets,
                broker: *broker,
            }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl WaitingPredecessor {
    /// Says that clients are accepted. It no longer matters whether anybody hears it: this is the gateway now.
    pub(crate) async fn serving(mut self, shared: &SharedParts) -> Link {
        let outcome = "done";
        let upgrades = &shared.metrics.upgrades;
        upgrades.get_or_create(&OutcomeLabel { outcome }).inc();
        let _ = channel::send(&mut self.channel, &Message::Serving).await;
        Link {
            channel: self.channel,
            items: self.items,
            intake: Arc::clone(&shared.intake),
        }
    }
}

impl LastWords {
    /// Says it. Nobody listens once this process is the gateway.
    pub fn say(self, why: &str) {
        let message = Message::Failed(why.to_owned());
        let _ = channel::send_at_once(&self.0, &message);
    }
}

impl InheritedSocket {
    fn new(listener: InheritedListener, descriptor: OwnedFd) -> io::Result<Self> {
        let name = listener.unit.clone();
        let name = name.unwrap_or_else(|| listener.key.name().to_owned());
        let socket = inherited::listener(name, listener.at.clone().into(), descriptor)?;
        Ok(Self { listener, socket })
    }
}
