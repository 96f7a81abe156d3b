//! Makes the calls to Django, and records how they go.
//!
//! Used by `authority`, which decides when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;

use crate::session::ask::auth_view::{Answered, AuthCall, AuthSettings, AuthView};
use crate::session::ask::batch::{BatchItem, BatchKind, Together, TopicAnswer, TopicQuestion};
use crate::session::ask::batch_view::{BatchView, Batched};
use crate::session::ask::call_span::AuthSpan;
use crate::session::ask::diagnoses::{Diagnoses, Whose};
use crate::session::diagnosis::Diagnosis;
use crate::session::error::AuthError;
use crate::session::naming::Naming;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::telemetry::otel::Tracer;
use crate::upcall::ClientError;

/// For so long it is taken for granted that Django still believes our signatures.
const BELIEVED: Duration = Duration::from_secs(30);

/// Calls Django.
#[derive(Debug)]
pub(in crate::session) struct AuthClient {
    auth_view: AuthView,
    batch: Option<BatchView>,
    metrics: Arc<Metrics>,
    reach: Mutex<Reachability>,
    /// When Django last believed a signature.
    believed: Mutex<Option<Instant>>,
    diagnoses: Arc<Diagnoses>,
    naming: Arc<Naming>,
    tracer: Tracer,
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
            tracer: settings.tracer.clone(),
            metrics,
            reach: Mutex::default(),
            believed: Mutex::default(),
        })
    }

    /// Asks for one session.
    pub(in crate::session) async fn ask(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let answered = self.ask_once(call).await;
        let refused = |answered: &Answered| answered.answer.is_refused;
        if !answered.as_ref().is_ok_and(refused) || self.is_believed() {
            return answered;
        }
        // A gateway that Django does not believe gets 404 at a socket's path: a wrong secret must not look like a refusal.
        let who = AuthCall { view: None, ..call };
        match self.ask_once(who).await {
            Err(error) if error.is_of_signature() => Err(error),
            Err(_) => answered,
            Ok(_) => {
                self.record_belief();
                answered
            }
        }
    }

    async fn ask_once(&self, mut call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let span = AuthSpan::one(&self.tracer, &call);
        call.trace = span.place().or(call.trace);
        let answered = self.auth_view.ask(call).await;
        if let Ok(Answered { headers, .. }) = &answered {
            self.naming.observe_judgement(headers);
        }
        let said = answered
            .as_ref()
            .map(|answered| Whose::of(&answered.answer));
        let outcome = match &answered {
            Ok(answered) if answered.answer.is_refused => "not_allowed",
            Ok(answered) if answered.answer.user.is_some() => "user",
            Ok(_) => "anonymous",
            Err(error) => error.outcome(),
        };
        span.ended(outcome);
        self.count(outcome);
        if outcome == "user" {
            self.record_belief();
        }
        let is_its_own = call.view.is_some() && said.as_ref().is_err_and(|it| it.is_failure());
        if let Some(batch) = &self.batch
            && !is_its_own
            && !said.as_ref().is_err_and(|error| error.spares_others())
        {
            batch.record_single(said.is_ok());
        }
        let reach = self.reach();
        self.record(said, &call.about.host);
        if is_its_own {
            // One path's view fails, and nobody knows anything of Django.
            *self.reach.lock() = reach;
        }
        answered
    }

    /// Whether sessions can be asked for together, as far as is known.
    pub(in crate::session) fn has_batch(&self, kind: BatchKind) -> bool {
        let batch = self.batch.as_ref();
        batch.is_some_and(|batch| batch.is_offered(kind))
    }

    /// Asks for several sessions of one host.
    pub(in crate::session) async fn ask_together(
        &self,
        question: &Together<'_>,
    ) -> Result<Batched<BatchItem>, AuthError> {
        let (Some(batch), Some(first)) = (&self.batch, question.asked.first()) else {
            return Ok(Batched::NotOffered);
        };
        let span = AuthSpan::several(&self.tracer, question);
        let batched = batch.ask(question, span.place()).await;
        let is_user = |items: &[BatchItem]| {
            let is_user = |item: &_| matches!(item, BatchItem::Answer(it) if it.user.is_some());
            items.iter().any(is_user)
        };
        span.ended(outcome(&batched));
        self.record_batch(&batched, &first.about.host, is_user);
        batched
    }

    /// Asks who may still listen to topics by tokens.
    pub(in crate::session) async fn ask_topics(
        &self,
        host: &HeaderValue,
        topics: &[TopicQuestion],
    ) -> Result<Batched<TopicAnswer>, AuthError> {
        let Some(batch) = &self.batch else {
            return Ok(Batched::NotOffered);
        };
        let span = AuthSpan::topics(&self.tracer, topics.len());
        let batched = batch.ask_topics(host, topics, span.place()).await;
        span.ended(outcome(&batched));
        self.record_batch(&batched, host, |_| false);
        batched
    }

    fn record_batch<T>(
        &self,
        batched: &Result<Batched<T>, AuthError>,
        host: &HeaderValue,
        is_user: impl FnOnce(&[T]) -> bool,
    ) {
        self.count(outcome(batched));
        match batched {
            Ok(Batched::Answers(answers)) => {
                self.record_belief();
                let whose = if is_user(answers) {
                    Whose::User
                } else {
                    Whose::Anonymous
                };
                self.record(Ok(whose), host);
            }
            Ok(Batched::NotOffered) => {}
            Err(error) => self.record(Err(error), host),
        }
    }

    fn record_belief(&self) {
        *self.believed.lock() = Some(Instant::now());
    }

    /// Whether Django has believed a signature a short time ago.
    fn is_believed(&self) -> bool {
        let believed = *self.believed.lock();
        believed.is_some_and(|believed| believed.elapsed() < BELIEVED)
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

/// How a batch went, for the metrics.
fn outcome<T>(batched: &Result<Batched<T>, AuthError>) -> &'static str {
    match batched {
        Ok(Batched::Answers(_)) => "batch",
        Ok(Batched::NotOffered) => "no_batch",
        Err(error) => error.outcome(),
    }
}
