//! Makes the calls to Django, and records how they go.
//!
//! Used by `authority`, which decides when.

use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;

use crate::session::ask::auth_view::{Answered, AuthCall, AuthSettings, AuthView};
use crate::session::ask::batch_view::{BatchView, Batched, Together};
use crate::session::ask::diagnoses::{Diagnoses, Whose};
use crate::session::diagnosis::Diagnosis;
use crate::session::error::AuthError;
use crate::session::naming::Naming;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::upcall::ClientError;

/// Calls Django.
#[derive(Debug)]
pub(in crate::session) struct AuthClient {
    auth_view: AuthView,
    batch: Option<BatchView>,
    metrics: Arc<Metrics>,
    reach: Mutex<Reachability>,
    diagnoses: Arc<Diagnoses>,
    naming: Arc<Naming>,
}

/// Whether Django answered when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered, whatever it said.
    Reachable,
    /// It did not.
    Unreachable,
}

impl AuthClient {
    /// Makes the clients; connects to nothing yet.
    pub(in crate::session) fn build(
        settings: &AuthSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            auth_view: AuthView::build(settings)?,
            batch: BatchView::build(settings)?,
            diagnoses: Arc::new(Diagnoses::new(Arc::clone(&metrics))),
            naming: Arc::clone(&settings.naming),
            metrics,
            reach: Mutex::default(),
        })
    }

    /// Asks for one session.
    pub(in crate::session) async fn ask(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let answered = self.auth_view.ask(call).await;
        if let Ok(Answered { headers, .. }) = &answered {
            self.naming.observe_judgement(headers);
        }
        let said = answered
            .as_ref()
            .map(|answered| Whose::of(&answered.answer));
        let outcome = match &said {
            Ok(Whose::User) => "user",
            Ok(Whose::Anonymous) => "anonymous",
            Err(error) => error.outcome(),
        };
        self.count(outcome);
        if let Some(batch) = &self.batch
            && !said.as_ref().is_err_and(|error| error.spares_others())
        {
            batch.offer.record_single(said.is_ok());
        }
        self.record(said, &call.about.host);
        answered
    }

    /// Whether sessions can be asked for together, as far as is known.
    pub(in crate::session) fn has_batch(&self) -> bool {
        self.batch.as_ref().is_some_and(BatchView::is_offered)
    }

    /// Asks for several sessions of one host.
    pub(in crate::session) async fn ask_together(
        &self,
        question: &Together<'_>,
    ) -> Result<Batched, AuthError> {
        let Some(batch) = &self.batch else {
            return Ok(Batched::NotOffered);
        };
        let batched = batch.ask(question, &self.naming).await;
        let host = question.sessions.first().map(|about| &about.host);
        match (&batched, host) {
            (Ok(Batched::Answers(answers)), Some(host)) => {
                self.count("batch");
                let user = answers.iter().flatten().any(|answer| answer.user.is_some());
                let whose = if user { Whose::User } else { Whose::Anonymous };
                self.record(Ok(whose), host);
            }
            (Err(error), Some(host)) => {
                self.count(error.outcome());
                self.record(Err(error), host);
            }
            _ => self.count("no_batch"),
        }
        batched
    }

    /// An error for a call that is not made.
    pub(in crate::session) fn unreachable(&self, cause: &'static str) -> AuthError {
        self.auth_view.not_asked(cause)
    }

    /// Knows what Django calls its session cookie.
    pub(in crate::session) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// Whether Django answered the last call.
    pub(in crate::session) fn reach(&self) -> Reachability {
        *self.reach.lock()
    }

    /// What is known to be wrong.
    pub(in crate::session) fn diagnoses(&self) -> &Arc<Diagnoses> {
        &self.diagnoses
    }

    /// Records how a call went: for the log, the pages of developers, and `reach`.
    fn record(&self, said: Result<Whose, &AuthError>, host: &HeaderValue) {
        let mut reach = Reachability::Reachable;
        match said {
            Ok(whose) => self.diagnoses.answered(host, whose),
            Err(AuthError::Misconfigured { place, diagnosis }) => {
                self.diagnoses.log(diagnosis, place, host);
            }
            Err(AuthError::Unreachable { place, cause }) => {
                reach = Reachability::Unreachable;
                self.diagnoses.log(&Diagnosis::silence(cause), place, host);
            }
        }
        *self.reach.lock() = reach;
    }

    fn count(&self, outcome: &'static str) {
        let calls = &self.metrics.auth_calls;
        calls.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
