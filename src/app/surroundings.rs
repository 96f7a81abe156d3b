//! What is there whatever the configuration says.
//!
//! Made once by the composition root, given to each site.

use super::named_sockets::NamedSockets;
use super::whereabouts::Whereabouts;
use crate::admin::health::Readiness;
use crate::secret::Secret;
use crate::server::access::AccessLog;

/// What is there whatever the configuration says.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) readiness: Readiness,
    /// Of operators on this machine.
    pub(super) token: Option<Secret>,
    pub(super) access: Option<AccessLog>,
    /// Listeners whose addresses are systemd's.
    pub(super) named: NamedSockets,
}

impl Surroundings {
    /// Those of a gateway that is not ready yet.
    pub(super) fn new(
        named: NamedSockets,
        whereabouts: Option<&Whereabouts>,
        access: Option<AccessLog>,
    ) -> Self {
        Self {
            readiness: Readiness::new(),
            token: whereabouts.map(Whereabouts::token),
            access,
            named,
        }
    }
}
