//! Wires what knows of sessions: what asks Django about them, and what follows their changes.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use crate::config::Config;
use crate::secret::Secrets;
use crate::session::{AuthSettings, CookieNames, LeaseTerms, LifecycleSettings, Naming};
use crate::telemetry::otel::Tracer;

pub(super) fn auth_settings(
    config: &Config,
    secrets: &Secrets,
    naming: &Arc<Naming>,
    tracer: &Tracer,
) -> AuthSettings {
    AuthSettings {
        url: config.auth.url.clone(),
        batch_url: config.auth.batch_url.clone(),
        upstream: config.django.upstream.clone(),
        timeout: config.auth.timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
        concurrency: config.auth.concurrency,
        accept_after: config.auth.accept_after,
        hold: config.django.hold,
        terms: lease_terms(config),
        secrets: secrets.clone(),
        naming: Arc::clone(naming),
        tracer: tracer.clone(),
    }
}

/// For how long answers are relied upon.
pub(super) fn lease_terms(config: &Config) -> LeaseTerms {
    LeaseTerms {
        lease: config.auth.lease,
        grace: config.auth.grace,
    }
}

/// Which cookies matter, as far as the configuration knows.
pub(super) fn naming(config: &Config) -> Naming {
    Naming::new(config.django.session_cookie.clone(), cookie_names(config))
}

/// The same; without a session cookie where Django has to say which it is.
pub(super) fn cookie_names(config: &Config) -> CookieNames {
    let sockets = config.sockets.iter().filter(|socket| !socket.echo);
    CookieNames {
        session: config.django.session_cookie.clone().unwrap_or_default(),
        others: config.auth.cookies.clone(),
        sockets: sockets.map(|socket| socket.path.clone()).collect(),
        ..CookieNames::default()
    }
}

pub(super) fn lifecycle_settings(config: &Config) -> LifecycleSettings {
    LifecycleSettings {
        revalidate: config.auth.revalidate,
        grace: config.auth.grace,
    }
}
