//! Wires what knows of sessions: who is asked, and who follows what becomes of them.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use crate::config::Config;
use crate::hub::Hub;
use crate::net::drain::DrainWatch;
use crate::secret::Secrets;
use crate::session::{
    AuthSettings, Authority, LeaseTerms, Lifecycle, LifecycleParts, LifecycleSettings, LiveSessions,
};

pub(super) fn auth_settings(config: &Config, secrets: &Secrets) -> AuthSettings {
    AuthSettings {
        url: config.auth.url.clone(),
        batch_url: config.auth.batch_url.clone(),
        upstream: config.django.upstream.clone(),
        timeout: config.auth.timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
        concurrency: config.auth.concurrency,
        accept_after: config.auth.accept_after,
        hold: config.django.hold,
        terms: LeaseTerms {
            lease: config.auth.lease,
            grace: config.auth.grace,
        },
        secrets: secrets.clone(),
    }
}

pub(super) fn lifecycle(
    config: &Config,
    authority: &Arc<Authority>,
    hub: &Arc<Hub>,
    (secrets, drain): (&Secrets, &DrainWatch),
) -> Arc<Lifecycle> {
    let settings = LifecycleSettings {
        revalidate: config.auth.revalidate,
        grace: config.auth.grace,
    };
    let parts = LifecycleParts {
        live: Arc::new(LiveSessions::new(Arc::clone(hub))),
        asker: Arc::clone(authority) as _,
        leases: Arc::clone(authority.leases()),
        hub: Arc::clone(hub),
        secrets: secrets.clone(),
        drain: drain.clone(),
    };
    Arc::new(Lifecycle::new(settings, parts))
}
