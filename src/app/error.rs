//! Why a gateway cannot start.

use crate::config::ConfigError;
use crate::net::listener::ListenError;
use crate::proxy::buffer::BufferingError;
use crate::server::access::AccessLogError;
use crate::tls::error::TlsError;
use crate::upcall::ClientError;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The development secret cannot be had.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Large bodies cannot be kept.
    #[error(transparent)]
    Buffering(#[from] BufferingError),
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// Django cannot be asked.
    #[error(transparent)]
    Authority(#[from] ClientError),
    /// The gateway before does not hand its place over.
    #[error("the gateway before does not hand its place over")]
    Predecessor(#[source] std::io::Error),
    /// Nothing would be heard of Django's server.
    #[error("the end of Django's server cannot be waited for")]
    AppServer(#[source] std::io::Error),
}
