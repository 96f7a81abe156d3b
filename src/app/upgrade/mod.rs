//! A new program in this one's place, without a refused request: SIGUSR2.
//!
//! Two processes, over one Unix socket, which is the standard input of the new one:
//!
//! ```text
//! the gateway that serves (Successor)               the new program (Predecessor)
//!   listeners (descriptors), standard error ─────▶  reads its configuration
//!                                           ◀─────  ready
//!   ends its background tasks, saves leases
//!   go                                      ─────▶  makes every part, serves, says where it is
//!                                           ◀─────  serving
//!   lets the listeners go, and leaves
//!                                 ◀───────────────▶  publications, revocations and rechecks that either takes
//! ```
//!
//! `go` has the broker's history and numbering. Both accept from the same sockets for a moment. Until `serving` the old one can take everything back: where the new
//! one ends, hangs, or is no gateway at all.

mod channel;
mod link;
mod predecessor;
mod program;
mod requests;
mod successor;

pub(super) use channel::{InheritedListener, ListenerKey};
pub(super) use predecessor::InheritedSocket;
pub(super) use predecessor::WaitingPredecessor;
pub use predecessor::{LastWords, Predecessor};
pub use program::Program;
pub use requests::UpgradeHandle;
use requests::UpgradeRequests;
pub(super) use successor::{Attempt, Heir, Successor, UpgradeError};

/// What a gateway has for this.
#[derive(Debug, Default)]
pub(super) struct UpgradeParts {
    pub(super) requests: UpgradeRequests,
    /// What is started.
    pub(super) program: Option<Program>,
    /// Waits until this one serves.
    pub(super) predecessor: Option<WaitingPredecessor>,
}
