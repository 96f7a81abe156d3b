//! What answers a path of the origin.
//!
//! Made by the composition root, looked up by `dispatch`.

use crate::files::folder::Folder;
use crate::proxy::forward::Forwarder;
use crate::socket::SocketRoute;

/// What answers a path.
#[derive(Debug)]
pub enum Route {
    /// The gateway ends WebSockets here.
    Socket(SocketRoute),
    /// A server behind the gateway.
    Upstream(Forwarder),
    /// A folder, mounted at a prefix.
    Folder {
        /// The prefix, with slashes at both ends.
        prefix: String,
        /// The folder.
        folder: Folder,
    },
    /// Paths that the outside never gets an answer from.
    Reserved,
}

impl Route {
    /// Whether WebSockets go on from here; `None` where the gateway itself decides about them.
    pub(super) fn takes_websockets(&self) -> Option<bool> {
        match self {
            Self::Upstream(forwarder) => Some(forwarder.takes_websockets()),
            Self::Folder { .. } => Some(false),
            Self::Socket(_) | Self::Reserved => None,
        }
    }
}
