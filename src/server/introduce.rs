//! The client behind a connection, where a proxy introduces it by the PROXY protocol.
//!
//! Done by `connection`, before TLS and HTTP and within their time. A connection of a trusted proxy without
//! such a header is refused, since its client is unknown; any other connection is served as usual, and a
//! header is an error there, since it is neither TLS nor HTTP.

use tokio::io::AsyncRead;

use crate::config::TrustedProxies;
use crate::net::listener::Peer;
use crate::net::proxy_protocol::{IntroductionError, introduction};
use crate::telemetry::seldom::Once;

/// Reads the client's address from the PROXY protocol.
#[derive(Debug)]
pub(super) struct Introductions {
    by: TrustedProxies,
    complaints: Once,
}

impl Introductions {
    /// These proxies introduce their clients.
    pub(super) fn new(by: TrustedProxies) -> Self {
        Self {
            by,
            complaints: Once::default(),
        }
    }

    /// The peer from here on: the client that is introduced on `stream`, or the one that is connected.
    pub(super) async fn read<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        peer: Peer,
    ) -> Result<Peer, IntroductionError> {
        if !self.by.trusts(peer.address()) {
            return Ok(peer);
        }
        match introduction(stream).await {
            Ok(Some(client)) => {
                tracing::debug!(proxy = ?peer, %client, "a proxy introduces its client");
                Ok(Peer::Tcp(client))
            }
            Ok(None) => Ok(peer),
            Err(error) => {
                self.complain(peer, &error);
                Err(error)
            }
        }
    }

    fn complain(&self, peer: Peer, error: &IntroductionError) {
        // A client that only looks whether the port is open says nothing.
        if !matches!(error, IntroductionError::Ended(_)) && self.complaints.is_first() {
            tracing::warn!(
                ?peer, %error,
                "a connection of a trusted proxy is refused: have it send the PROXY protocol (nginx: proxy_protocol \
                 on; HAProxy: send-proxy-v2), or set server.proxy_protocol to false"
            );
        }
    }
}
