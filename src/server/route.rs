//! What answers a path of the origin.
//!
//! Made by the composition root, looked up by `dispatch`.

use http::{Request, StatusCode};

use super::upstream_handler::UpstreamHandler;
use crate::files::folder::Folder;
use crate::socket::{OriginRule, SocketRoute};
use crate::web::problem::{Problem, ToProblem};
use crate::web::request::{Downstream, Upgrade};
use crate::web::request_body::RequestBody;

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

    /// Whether a server behind the gateway is asked: for the answer, or who opens a socket.
    pub(super) fn reaches_servers(&self) -> bool {
        matches!(self, Self::Upstream(_) | Self::Socket(_))
    }

    /// Whether requests count towards `limits.requests_per_address`: files cost next to nothing, and
    /// handshakes have a limit of their own.
    pub(super) fn counts_requests(&self) -> bool {
        matches!(self, Self::Upstream(_) | Self::Reserved)
    }
}

/// Also where the gateway itself ends none, a WebSocket must come from a page of this origin.
pub(super) fn check_origin(
    request: &Request<RequestBody>,
    downstream: &Downstream,
) -> Result<(), Problem> {
    let own = OriginRule::default().check(request.headers(), &downstream.host);
    own.map_err(|error| error.to_problem())
}

/// A handshake of HTTP/1.1 that nothing takes is an ordinary request. One of HTTP/2 is none: any 2xx would open it.
pub(super) fn refuse_stream(upgrade: Upgrade) -> Result<(), Problem> {
    if upgrade != Upgrade::ExtendedConnect {
        return Ok(());
    }
    let detail = "No WebSocket is served at this address.";
    Err(Problem::new(StatusCode::NOT_FOUND, "no_websocket", detail).with_hint(
        "name its path in [[sockets]] of gateway.toml, or the server that has it in [[upstreams]]",
    ))
}

pub(super) fn not_found(why: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is nothing at this address.",
    )
    .with_hint(why)
}
