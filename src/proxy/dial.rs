//! Opens one connection to one upstream address.
//!
//! Called by `upstream`, for tunnels too. The surprise: `localhost` is tried as both 127.0.0.1 and `::1`
//! whatever the system's resolver says, because dev servers listen on either one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::config::UpstreamAddress;
use crate::net::stream::Stream;

/// Why nobody answered at an address. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Nobody listens, or the name is unknown.
    #[error(transparent)]
    Refused(#[from] io::Error),
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Opens a connection, within `limit` over all addresses of a name.
pub(super) async fn dial(address: &UpstreamAddress, limit: Duration) -> Result<Stream, DialError> {
    let connect = async {
        match address {
            UpstreamAddress::Tcp { host, port } => dial_name(host, *port).await.map(Stream::Tcp),
            UpstreamAddress::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    match tokio::time::timeout(limit, connect).await {
        Ok(stream) => Ok(stream?),
        Err(_) => Err(DialError::TimedOut(limit)),
    }
}

async fn dial_name(host: &str, port: u16) -> io::Result<TcpStream> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return dial_first([SocketAddr::new(address, port)]).await;
    }
    if host.eq_ignore_ascii_case("localhost") {
        let both = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ];
        return dial_first(both.map(|address| SocketAddr::new(address, port))).await;
    }
    dial_first(tokio::net::lookup_host((host, port)).await?).await
}

async fn dial_first(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut first_error = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
