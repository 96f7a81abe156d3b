//! The server's half of a TLS handshake.
//!
//! Called by `server`, inside the connection's own task and under its time limit. The surprise: a
//! client that offers only unknown protocols by ALPN is refused by rustls with the alert for it.

use std::fmt;
use std::io;
use std::sync::Arc;

pub use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What the gateway offers by ALPN, the preferred first.
pub(super) const OFFERED: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A connection after the handshake.
pub type TlsStream<S> = tokio_rustls::server::TlsStream<S>;

/// How requests are spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, also where the client did not say.
    Http1,
    /// HTTP/2.
    Http2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

/// Performs the handshake with the certificate of now. The stream comes back with an error.
pub async fn handshake<S>(
    config: Arc<ServerConfig>,
    stream: S,
) -> Result<(TlsStream<S>, Protocol), (io::Error, S)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TlsAcceptor::from(config)
        .accept(stream)
        .into_fallible()
        .await?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((stream, protocol))
}
