//! What is there whatever the configuration says.
//!
//! Made once by the composition root, given to each site.

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
}
