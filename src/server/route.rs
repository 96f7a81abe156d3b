//! What answers a path of the origin.
//!
//! Made by the composition root, looked up by `dispatch`.

use super::upstream_handler::UpstreamHandler;
use crate::files::folder::Folder;
use crate::socket::SocketRoute;

/// What answers a path.
#[derive(Debug)]
pub enum Route {
    /// The gateway ends WebSockets here.
    Socket(SocketRoute),
    /// A server behind the gateway.
    Upstream(UpstreamHandler),
    /// A folder, mounted at a prefix.
    Folder {
        /// The prefix, with slashes at both ends.
        prefix: String,
        /// The folder.
        folder: Folder,
    },
    /// A folder that Django alone gives out.
    Internal,
    /// Paths that the outside never gets an answer from.
    Reserved,
}

impl Route {
    /// Whether WebSockets go on from here; `None` where the gateway itself decides about them.
    pub(super) fn takes_websockets(&self) -> Option<bool> {
        match self {
            Self::Upstream(upstream) => Some(upstream.forwarder.takes_websockets()),
            Self::Folder { .. } => Some(false),
            Self::Socket(_) | Self::Internal | Self::Reserved => None,
        }
    }
}
