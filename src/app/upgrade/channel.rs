//! What the two processes say to each other: JSON, with its length before it.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream as StdStream;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::broker::BrokerSnapshot;
use crate::config::ListenAddress;
use crate::publish::relay::Relayed;

/// The variable that names the process which started this one to take its place.
pub(super) const PREDECESSOR: &str = "GATEPOST_PREDECESSOR";
/// The longest message, in bytes: a history is at most `delivery.history_size` before its characters are escaped.
const LONGEST: usize = 1 << 29;

/// A message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The new program has read its configuration.
    Ready,
    /// It may begin, with what the broker knows.
    Go(Box<BrokerSnapshot>),
    /// It accepts clients.
    Serving,
    /// Why it cannot.
    Failed(String),
    /// What concerns the other one's clients too.
    Relay(Relayed),
}

/// The descriptors that come first: after standard error one for each of these.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bequest {
    pub(super) listeners: Vec<InheritedListener>,
}

/// A listener that another process opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InheritedListener {
    /// Which kind.
    pub(crate) key: ListenerKey,
    /// Where gateway.toml has it.
    pub(crate) at: InheritedAddress,
    /// What systemd calls it, where that has opened it.
    pub(crate) unit: Option<String>,
}

/// The keys of `[server]` that name listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListenerKey {
    Https,
    Http,
    Internal,
}

/// An address, as it is told to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InheritedAddress {
    Tcp(std::net::SocketAddr),
    Unix(std::path::PathBuf),
}

impl From<ListenAddress> for InheritedAddress {
    fn from(address: ListenAddress) -> Self {
        match address {
            ListenAddress::Tcp(at) => Self::Tcp(at),
            ListenAddress::Unix(path) => Self::Unix(path),
        }
    }
}

impl From<InheritedAddress> for ListenAddress {
    fn from(address: InheritedAddress) -> Self {
        match address {
            InheritedAddress::Tcp(at) => Self::Tcp(at),
            InheritedAddress::Unix(path) => Self::Unix(path),
        }
    }
}

impl ListenerKey {
    /// The key's name, which is what a `.socket` unit may call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Internal => "internal",
        }
    }
}

/// Sends one.
pub(super) async fn send(
    channel: &mut (impl AsyncWrite + Unpin),
    message: &Message,
) -> io::Result<()> {
    channel.write_all(&bytes(message)?).await
}

/// Sends a short one where nothing else was sent that waits, without a runtime.
pub(super) fn send_at_once(mut channel: &StdStream, message: &Message) -> io::Result<()> {
    channel.write_all(&bytes(message)?)
}

fn bytes(message: &Message) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), text.as_slice()].concat())
}

/// The next one; fails where the other process has gone.
pub(super) async fn receive(channel: &mut (impl AsyncRead + Unpin)) -> io::Result<Message> {
    let length = channel.read_u32().await? as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    channel.read_exact(&mut text).await?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent_and_what_is_too_long_is_refused() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        for message in [Message::Ready, Message::Failed("no\nfile".to_owned())] {
            send(&mut ours, &message).await.unwrap();
            let received = receive(&mut theirs).await.unwrap();
            assert_eq!(format!("{received:?}"), format!("{message:?}"));
        }
        ours.write_u32(u32::MAX).await.unwrap();
        assert!(receive(&mut theirs).await.is_err());
        drop(ours);
        assert!(receive(&mut theirs).await.is_err());
    }
}
