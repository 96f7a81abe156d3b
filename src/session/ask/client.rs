//! Makes the calls to Django, and tells people how they go.
//!
//! Used by `asking`, which decides when. The surprise: a call that fails is tried at the next address, or on
//! a new connection, at once: an auth call changes nothing, so asking twice is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;

use crate::secret::Secrets;
use crate::session::ask::auth_view::{Answered, AuthCall, AuthSettings, Endpoint, LONGEST_BATCH};
use crate::session::ask::batch_view::{BatchView, Batched, Together};
use crate::session::ask::diagnoses::{Diagnoses, Whose};
use crate::session::diagnosis::{Diagnosis, Silence};
use crate::session::error::AuthError;
use crate::session::naming::Naming;
use crate::telemetry::metrics::{Metrics, Outcome};
use crate::upcall::AuthorityError;
use crate::upcall::{BACKSTOP, within};
use crate::upcall::{PlaceSettings, describe};

/// Calls Django.
#[derive(Debug)]
pub(in crate::session) struct Caller {
    endpoints: Vec<Endpoint>,
    batch: Option<BatchView>,
    timeout: Duration,
    next: AtomicUsize,
    secrets: Secrets,
    metrics: Arc<Metrics>,
    reach: Mutex<Reach>,
    diagnoses: Arc<Diagnoses>,
    naming: Arc<Naming>,
}

/// Whether Django answered when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered, whatever it said.
    Reachable,
    /// It did not.
    Unreachable,
}

impl Caller {
    /// Makes the clients; connects to nothing yet.
    pub(in crate::session) fn build(
        settings: &AuthSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AuthorityError> {
        let batch = settings.batch_url.as_ref().map(|url| {
            BatchView::build(&PlaceSettings {
                url,
                upstream: &settings.upstream,
                timeout: settings.timeout * LONGEST_BATCH * BACKSTOP,
                connect_timeout: settings.connect_timeout,
            })
        });
        Ok(Self {
            endpoints: Endpoint::build(settings)?,
            batch: batch.transpose()?,
            timeout: settings.timeout,
            next: AtomicUsize::new(0),
            secrets: settings.secrets.clone(),
            diagnoses: Arc::new(Diagnoses::new(Arc::clone(&metrics))),
            naming: Arc::clone(&settings.naming),
            metrics,
            reach: Mutex::default(),
        })
    }

    /// Asks for one session.
    pub(in crate::session) async fn ask(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let answered = self.try_endpoints(call).await;
        if let Ok(Answered { headers, .. }) = &answered {
            self.naming.hear_judgement(headers);
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
            batch.offer.note_single(said.is_ok());
        }
        self.note(said, &call.about.host);
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
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let asked = batch.ask(question, (&self.secrets, &self.naming), first);
        let batched = within(self.timeout * LONGEST_BATCH, asked).await;
        let batched = batched.unwrap_or_else(|| Err(batch.took_too_long()));
        let host = question.sessions.first().map(|about| &about.host);
        match (&batched, host) {
            (Ok(Batched::Answers(answers)), Some(host)) => {
                self.count("batch");
                let user = answers.iter().flatten().any(|answer| answer.user.is_some());
                let whose = if user { Whose::User } else { Whose::Anonymous };
                self.note(Ok(whose), host);
            }
            (Err(error), Some(host)) => {
                self.count(error.outcome());
                self.note(Err(error), host);
            }
            _ => self.count("no_batch"),
        }
        batched
    }

    /// An error for a call that is not made.
    pub(in crate::session) fn unreachable(&self, cause: &'static str) -> AuthError {
        let first = self.next.load(Ordering::Relaxed) % self.endpoints.len();
        self.endpoints[first].unreachable(Silence::NotAsked(cause))
    }

    /// Knows what Django calls its session cookie.
    pub(in crate::session) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// Whether Django answered the last call.
    pub(in crate::session) fn reach(&self) -> Reach {
        *self.reach.lock()
    }

    /// What is known to be wrong.
    pub(in crate::session) fn diagnoses(&self) -> &Arc<Diagnoses> {
        &self.diagnoses
    }

    async fn try_endpoints(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let attempts = self.endpoints.len().max(2);
        let mut attempt = 0;
        loop {
            let endpoint = &self.endpoints[(first + attempt) % self.endpoints.len()];
            attempt += 1;
            let answered = within(self.timeout, async {
                let response = endpoint.call(call, &self.secrets).await?;
                Ok(endpoint.read(response, call, &self.secrets).await)
            });
            match answered.await {
                Some(Ok(answered)) => return answered,
                Some(Err(error)) => {
                    let error: reqwest::Error = error;
                    if attempt == attempts || error.is_timeout() {
                        return Err(endpoint.unreachable(describe(&error).into()));
                    }
                }
                None => return Err(endpoint.unreachable(Silence::TimedOut)),
            }
        }
    }

    /// Tells people how a call went.
    fn note(&self, said: Result<Whose, &AuthError>, host: &HeaderValue) {
        let mut reach = Reach::Reachable;
        match said {
            Ok(whose) => self.diagnoses.answered(host, whose),
            Err(AuthError::Misconfigured { place, diagnosis }) => {
                self.diagnoses.tell(diagnosis, place, host);
            }
            Err(AuthError::Unreachable { place, cause }) => {
                reach = Reach::Unreachable;
                self.diagnoses.tell(&Diagnosis::silence(cause), place, host);
            }
        }
        *self.reach.lock() = reach;
    }

    fn count(&self, outcome: &'static str) {
        let calls = &self.metrics.auth_calls;
        calls.get_or_create(&Outcome { outcome }).inc();
    }
}
