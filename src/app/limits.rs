//! Shares the process's descriptors out among clients, upstreams and files.
//!
//! Used by the composition root alone.

use crate::config::{Config, FrontendConfig};
use crate::net::descriptors::{self, Shares};

/// Raises the limit of descriptors as far as it goes, and shares them out.
pub(super) fn share(config: &Config) -> Shares {
    let frontend = matches!(config.frontend, Some(FrontendConfig::Upstream(_)));
    let upstreams = 1 + usize::from(frontend) + config.upstreams.len();
    let descriptors = descriptors::raise_limit();
    let shares = descriptors::share(descriptors, upstreams);
    if let Some(wanted) = config.limits.connections
        && wanted > shares.clients
    {
        tracing::warn!(
            wanted,
            room = shares.clients,
            descriptors,
            "`limits.connections` is more than the limit of open files has room for; raise that \
             (ulimit -n, LimitNOFILE), or clients beyond it are turned away"
        );
    }
    shares
}
