//! Handing this gateway's place over to a new program, or taking it back.
//!
//! Done by [`Gateway::run`](super::Gateway::run). From the first step to the last this gateway still serves its clients.

use super::inheritance::Inheritance;
use super::listeners::Listeners;
use super::site::Site;
use super::upgrade::{Attempt, Heir, Program, Successor, UpgradeError};
use super::whereabouts::Whereabouts;
use crate::telemetry::metrics::OutcomeLabel;

/// What is handed over.
pub(super) struct Succession<'a> {
    pub(super) site: &'a mut Site,
    pub(super) listeners: &'a Listeners,
    pub(super) whereabouts: Option<&'a Whereabouts>,
}

impl Succession<'_> {
    /// Starts the new program, or says why not.
    pub(super) fn begin(self, program: Option<&Program>, attempt: &mut Attempt) {
        let begun = self.refusal(program).and_then(|program| {
            let listeners = self.listeners.duplicate();
            attempt.begin(program, listeners.map_err(UpgradeError::Listeners)?)
        });
        if let Err(error) = begun {
            self.failed(&error);
        }
    }

    /// Lets it take over where it is ready. Returns it; `None` where all is as it was.
    pub(super) async fn hand_over(
        mut self,
        ready: Result<Successor, UpgradeError>,
    ) -> Option<Heir> {
        let outcome = match ready {
            Ok(successor) => self.try_over(successor).await,
            Err(error) => Err(error),
        };
        outcome.map_err(|error| self.failed(&error)).ok()
    }

    async fn try_over(&mut self, successor: Successor) -> Result<Heir, UpgradeError> {
        // Only one process pulls the transactional outbox, and only one orders certificates.
        self.site.rest().await;
        let inheritance = Inheritance::of(&self.site.config, &self.site.shared);
        inheritance.leave(&inheritance.survey());
        let taken = successor.take_over(&self.site.shared).await;
        if taken.is_err() {
            self.take_back();
        }
        taken
    }

    fn take_back(&mut self) {
        self.site.shared.hub.write_topics_again();
        if let Some(whereabouts) = self.whereabouts
            && let Err(error) = whereabouts.tell_again()
        {
            tracing::warn!(%error, "`.gatepost/pid` and `.gatepost/internal` may be another process's");
        }
        self.site.go_on();
    }

    fn refusal<'p>(&self, program: Option<&'p Program>) -> Result<&'p Program, UpgradeError> {
        let refused = |why| Err(UpgradeError::Refused(why));
        if self.site.config.app_server.is_some() {
            return refused(
                "Django's server is a child of this process; with `gatepost run --` what runs the container or unit \
                 starts a new one and then ends this",
            );
        }
        if self.site.shared.operations.pause.is_on() {
            return refused(
                "requests are paused, which a new process would not know; `gatepost resume` first",
            );
        }
        let Some(program) = program else {
            return refused("this gateway was not started as a program");
        };
        program.refusal().map_or(Ok(program), refused)
    }

    fn failed(&self, error: &UpgradeError) {
        let outcome = "failed";
        let upgrades = &self.site.shared.metrics.upgrades;
        upgrades.get_or_create(&OutcomeLabel { outcome }).inc();
        tracing::error!("no new program takes over, this process goes on: {error}");
    }
}
