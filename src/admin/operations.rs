//! What operators order of a running gateway (maintenance, a pause, a reload), and what requests meet of it.
//!
//! The internal API hands orders in, `server` has each request pass that a server behind the gateway would answer,
//! `health` tells of both.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::maintenance::Maintenance;
use super::pause::{Pause, PauseTerms};
use super::reload::ReloadHandle;
use crate::publish::operator::{Lasting, MaintenanceOrder, Operator, ReloadRefusal};
use crate::web::problem::Problem;

/// Maintenance and pause. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Operations {
    /// Who is served at all.
    pub maintenance: Arc<Maintenance>,
    /// Whether all wait.
    pub pause: Arc<Pause>,
    /// Asks for reloads.
    pub reloads: ReloadHandle,
}

/// What requests pass, and how one configuration has them wait there.
#[derive(Clone, Debug)]
pub struct OperationsGate {
    /// What is ordered.
    pub operations: Operations,
    /// How requests wait for the end of a pause.
    pub terms: PauseTerms,
}

impl OperationsGate {
    /// Whether a request has anything to [`pass`](Self::pass).
    pub fn is_limited(&self) -> bool {
        self.operations.pause.is_on() || self.operations.maintenance.is_on()
    }

    /// Lets a client's request go on, at once or after the pause, or says why not.
    pub async fn pass(&self, client: IpAddr) -> Result<(), Problem> {
        let Operations {
            maintenance, pause, ..
        } = &self.operations;
        if let Some(refusal) = maintenance.refusal(client) {
            return Err(refusal);
        }
        if pause.is_on() {
            pause.pass(self.terms).await?;
        }
        Ok(())
    }
}

impl Operator for Operations {
    fn begin_maintenance(&self, order: MaintenanceOrder) -> Lasting {
        self.maintenance.begin(&order)
    }

    fn end_maintenance(&self) -> Lasting {
        self.maintenance.end()
    }

    fn pause(&self, length: Duration) {
        self.pause.begin(length);
    }

    fn resume(&self) {
        self.pause.end();
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), ReloadRefusal>> {
        Box::pin(self.reloads.reload())
    }
}
