//! Shares the process's descriptors out among clients, upstreams and files.
//!
//! Used by the composition root alone.

use crate::config::{Config, FrontendConfig, Limits};
use crate::net::descriptors::{self, DescriptorShares};
use crate::server::service::ServerLimits;

/// Connections besides those that `limits.connections` allows: sockets beyond it get their own answer,
/// and the place of one that has just ended is free before its connection is.
const SPARE_CONNECTIONS: usize = 64;
/// Connections of the internal listener: its own, so that a crowd outside does not block health,
/// metrics and publishing.
const INTERNAL_CONNECTIONS: usize = 256;

/// Raises the limit of descriptors as far as it goes, and shares them out.
pub(super) fn share(config: &Config) -> DescriptorShares {
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

/// What clients of the public listeners may take, and of the internal one.
pub(super) fn of_listeners(limits: &Limits, shares: DescriptorShares) -> [ServerLimits; 2] {
    let connections = match limits.connections {
        Some(configured) => configured.saturating_add(SPARE_CONNECTIONS),
        None => shares.clients,
    };
    [connections, INTERNAL_CONNECTIONS]
        .map(|connections| ServerLimits::new(limits, connections, shares.refused))
}
