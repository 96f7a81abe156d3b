//! The server's half of a TLS handshake.
//!
//! Called by `server`, inside the connection's own task and under its time limit. The surprise: a
//! client that offers only unknown protocols by ALPN is refused by rustls with the alert for it.

use std::fmt;
use std::io;
use std::sync::Arc;

pub use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::by_name::CertificatesByName;

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

/// How the server's half speaks, still without a certificate.
pub(super) fn server_config(
    ticketer: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let mut config = ServerConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(CertificatesByName::default()));
    config.alpn_protocols = OFFERED.map(<[u8]>::to_vec).to_vec();
    config.ticketer = ticketer;
    // Tickets resume without any memory here; the default keeps 256 sessions besides, and sends
    // two.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    // Early data can be replayed by anybody who has recorded it.
    config.max_early_data_size = 0;
    Ok(config)
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
