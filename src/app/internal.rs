//! Makes what the internal listener answers with.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use super::outbox;
use super::shared::SharedParts;
use super::surroundings::Surroundings;
use crate::admin::health::{DjangoState, Health};
use crate::admin::metrics::Exposition;
use crate::config::Config;
use crate::publish::api::{Api, ApiParts, ApiSettings};
use crate::server::internal::Internal;
use crate::session::Reachability;

pub(super) fn internal(
    shared: &SharedParts,
    config: &Config,
    surroundings: &Surroundings,
) -> Internal {
    let settings = ApiSettings {
        secrets: shared.secrets.clone(),
        token: surroundings.token.clone(),
        body_timeout: config.limits.body_timeout,
    };
    let parts = ApiParts {
        intake: Arc::clone(&shared.intake),
        hub: Arc::clone(&shared.hub),
        outbox: outbox::wake(shared, config),
        replays: Arc::clone(&shared.replays),
        operator: Arc::new(shared.operations.clone()),
    };
    let authority = Arc::clone(&shared.authority);
    let django = move || match authority.reach() {
        Reachability::Unknown => DjangoState::Unknown,
        Reachability::Reachable => DjangoState::Reachable,
        Reachability::Unreachable => DjangoState::Unreachable,
    };
    Internal {
        api: Api::new(settings, parts),
        health: Health::new(surroundings.readiness.clone(), shared.drain.clone(), django)
            .with_queue(shared.queue.clone())
            .with_operations(shared.operations.clone()),
        exposition: Exposition::new(&shared.metrics),
    }
}
