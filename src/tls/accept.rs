//! The server's half of a TLS handshake.
//!
//! Called by `server`, inside the connection's own task and under its time limit. A client that
//! offers only unknown protocols by ALPN is refused by rustls with the alert for it.

use std::fmt;
use std::io;
use std::sync::Arc;

pub use rustls::ServerConfig;
use rustls::server::{Acceptor, NoServerSessionStorage, ProducesTickets};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{Accept, LazyConfigAcceptor, StartHandshake, TlsAcceptor};

use super::by_name::CertificatesByName;
use super::challenges::{ACME_TLS, is_challenge};

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

/// How one handshake is answered.
pub struct HandshakeConfigs {
    /// For clients.
    pub(super) usual: Arc<ServerConfig>,
    /// For an authority that asks for its challenge, while one may.
    pub(super) challenged: Option<Arc<ServerConfig>>,
}

/// An authority got what it asked for, and has nothing more to say.
#[derive(Debug, thiserror::Error)]
#[error("the challenge of a certificate authority was answered")]
struct ChallengeAnswered;

/// What comes of a handshake: the stream comes back with an error.
type Secured<S> = Result<(TlsStream<S>, Protocol), (io::Error, Option<S>)>;

/// Performs the handshake with the certificate of now. The stream comes back with an error.
pub async fn handshake<S>(
    configs: HandshakeConfigs,
    stream: S,
) -> Result<(TlsStream<S>, Protocol), (io::Error, Option<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match configs.challenged {
        None => {
            let accept = TlsAcceptor::from(configs.usual).accept(stream);
            finish(accept).await
        }
        Some(challenged) => Box::pin(choose(configs.usual, challenged, stream)).await,
    }
}

/// Reads the client's first words, and goes on as they ask for.
async fn choose<S>(usual: Arc<ServerConfig>, challenged: Arc<ServerConfig>, stream: S) -> Secured<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = first_words(stream).await?;
    let config = if is_challenge(&start.client_hello()) {
        challenged
    } else {
        usual
    };
    go_on(start, config).await
}

/// Reads the client's first words.
pub(super) async fn first_words<S>(stream: S) -> Result<StartHandshake<S>, (io::Error, Option<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let start = (&mut acceptor).await;
    start.map_err(|error| (error, acceptor.take_io()))
}

/// Answers the client's first words by this configuration.
pub(super) async fn go_on<S>(start: StartHandshake<S>, config: Arc<ServerConfig>) -> Secured<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    finish(start.into_stream(config)).await
}

async fn finish<S>(accept: Accept<S>) -> Secured<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let accepted = accept.into_fallible().await;
    let stream = accepted.map_err(|(error, stream)| (error, Some(stream)))?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(ACME_TLS) => {
            let (stream, _) = stream.into_inner();
            return Err((io::Error::other(ChallengeAnswered), Some(stream)));
        }
        _ => Protocol::Http1,
    };
    Ok((stream, protocol))
}
