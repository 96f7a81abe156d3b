//! Makes the puller of the transactional outbox, where it is configured.

use std::sync::Arc;

use super::shared::SharedParts;
use crate::config::Config;
use crate::publish::puller::{Puller, PullerSettings, SourceSettings};
use crate::publish::wake::Wake;
use crate::upcall::ClientError;

/// What wakes the puller, where there is one.
pub(super) fn wake(shared: &SharedParts, config: &Config) -> Option<Wake> {
    config.outbox.url.as_ref().map(|_| shared.wake.clone())
}

pub(super) fn puller(shared: &SharedParts, config: &Config) -> Result<Option<Puller>, ClientError> {
    let Some(url) = config.outbox.url.clone() else {
        return Ok(None);
    };
    let source = SourceSettings {
        url,
        upstream: config.django.upstream.clone(),
        connect_timeout: config.limits.upstream_connect_timeout,
        host: canonical_host(config).to_owned(),
        frame_size: config.delivery.outbox_size,
        secrets: shared.secrets.clone(),
    };
    let settings = PullerSettings {
        source,
        poll: config.outbox.poll,
        settle: config.outbox.settle,
        cursor: config.outbox.cursor.clone(),
    };
    Puller::build(settings, shared.wake.clone(), Arc::clone(&shared.intake)).map(Some)
}

/// The first host; where it stands for many, what they end in, which Django allows with them.
pub(super) fn canonical_host(config: &Config) -> &str {
    let first = config.server.hosts.first().map_or("", String::as_str);
    first.trim_start_matches("*.")
}
