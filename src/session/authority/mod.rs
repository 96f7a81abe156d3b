//! Says who a session is: from a lease, or by asking Django.
//!
//! Called by `socket` for each handshake, and by `live` to ask again. The authority never waits by itself. What
//! has to be asked becomes a [`PendingVerdict`], which the caller awaits before or after it has accepted the
//! client.

pub(in crate::session) mod backoff;
pub(in crate::session) mod batcher;
pub(in crate::session) mod call;
pub(in crate::session) mod queue;
pub(in crate::session) mod recheck;
pub(in crate::session) mod scheduler;
pub(in crate::session) mod single_flight;
pub(in crate::session) mod verdict;
pub(in crate::session) mod waiting_room;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;

use crate::hub::Hub;
use crate::ids::ViewTarget;
use crate::net::drain::DrainWatch;
use crate::net::per_address::NoPlace;
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::ask::auth_view::AuthSettings;
use crate::session::ask::batch::{BatchKind, TopicAnswer, TopicQuestion};
use crate::session::ask::client::{AuthClient, Reachability};
use crate::session::ask::diagnoses::Diagnoses;
use crate::session::authority::scheduler::{Joined, Scheduler, SchedulerSettings};
use crate::session::authority::single_flight::{FlightProgress, Judgement};
use crate::session::authority::verdict::Verdict;
use crate::session::authority::waiting_room::{WaitingPlace, WaitingRoom};
use crate::session::diagnosis::Diagnosis;
use crate::session::error::AuthError;
use crate::session::lease::{Lease, LeaseKey, LeaseTerms, Leases, Lookup};
use crate::session::question::{AuthSubject, Question, ViewSubject};
use crate::telemetry::metrics::Metrics;
use crate::upcall::ClientError;

/// A handshake that waited this long is told to come back later. Less than the minute for which a session
/// that ended is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// Says who a session is.
#[derive(Debug)]
pub struct Authority {
    scheduler: Arc<Scheduler>,
    waiting_room: WaitingRoom,
    leases: Arc<Leases>,
}

/// What an authority is to ask by, from a reload on.
#[derive(Debug)]
pub struct NextAuthority {
    client: AuthClient,
    scheduler: SchedulerSettings,
    leases: LeaseTerms,
    secrets: Secrets,
}

/// A question that waits for Django's answer.
#[derive(Debug)]
pub struct PendingVerdict {
    scheduler: Arc<Scheduler>,
    key: LeaseKey,
    question: Question,
    _place: WaitingPlace,
}

impl Authority {
    /// Makes the clients; connects to nothing yet. Nothing is asked before [`Authority::run`].
    pub fn build(
        settings: &AuthSettings,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ClientError> {
        let leases = Leases::new(settings.terms, settings.secrets.clone(), hub);
        let leases = Arc::new(leases);
        let client = AuthClient::build(settings, Arc::clone(&metrics))?;
        let terms = SchedulerSettings::of(settings);
        Ok(Self {
            scheduler: Arc::new(Scheduler::new(client, Arc::clone(&leases), terms)),
            waiting_room: WaitingRoom::new(metrics),
            leases,
        })
    }

    /// What an authority of these settings would ask by; connects to nothing yet.
    pub fn prepare(
        settings: &AuthSettings,
        metrics: Arc<Metrics>,
    ) -> Result<NextAuthority, ClientError> {
        Ok(NextAuthority {
            client: AuthClient::build(settings, metrics)?,
            scheduler: SchedulerSettings::of(settings),
            leases: settings.terms,
            secrets: settings.secrets.clone(),
        })
    }

    /// Asks by what was prepared from now on. The hub must remember revocations for as long as its leases last.
    pub fn adopt(&self, next: NextAuthority) {
        self.leases.adopt(next.leases, &next.secrets);
        self.scheduler.adopt(next.client, next.scheduler);
    }

    /// Asks Django what is to be asked, until the gateway ends.
    pub fn run(&self, drain: DrainWatch) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.scheduler).run(drain)
    }

    /// What is relied upon without asking; `None` where Django has to be asked.
    pub fn known(&self, about: &AuthSubject, view: Option<&ViewTarget>) -> Option<Verdict> {
        match self.leases.find(&self.key(about, view)) {
            Lookup::Fresh(lease) => Some(Verdict::of_lease(&lease)),
            Lookup::Stale(lease) if self.scheduler.is_away() => Some(Verdict::of_lease(&lease)),
            Lookup::Stale(_) | Lookup::Miss => None,
        }
    }

    fn key(&self, about: &AuthSubject, view: Option<&ViewTarget>) -> LeaseKey {
        match view {
            None => self.leases.key(about.session()),
            Some(view) => self.leases.view_key(about.session(), view),
        }
    }

    /// How long a handshake waits before it is accepted and judged afterwards.
    pub fn patience(&self) -> Duration {
        self.scheduler.terms().patience
    }

    /// Lets a handshake wait for Django's answer, unless too many do.
    pub fn judge(&self, question: Question) -> Result<PendingVerdict, NoPlace> {
        Ok(PendingVerdict {
            _place: self.waiting_room.enter(question.about.address)?,
            scheduler: Arc::clone(&self.scheduler),
            key: self.key(&question.about, question.view.as_ref()),
            question,
        })
    }

    /// Asks again who these sessions are, whatever leases say; the answers come in their order.
    /// Handshakes go first, and nothing is tried twice.
    pub async fn recheck(&self, sessions: &[AuthSubject]) -> Vec<Result<Answer, AuthError>> {
        self.scheduler.recheck(sessions).await
    }

    /// Asks views again who may listen, in the same way.
    pub(in crate::session) async fn recheck_views(
        &self,
        views: &[ViewSubject],
    ) -> Vec<Result<Answer, AuthError>> {
        self.scheduler.recheck_views(views).await
    }

    /// Asks who may still listen to topics by tokens.
    pub(in crate::session) async fn recheck_topics(
        &self,
        host: &HeaderValue,
        topics: &[TopicQuestion],
    ) -> Vec<TopicAnswer> {
        self.scheduler.recheck_topics(host, topics).await
    }

    /// Whether sessions can be asked for together, as far as is known.
    pub(in crate::session) fn has_batch(&self) -> bool {
        self.scheduler.client().has_batch(BatchKind::Sessions)
    }

    /// What is relied upon without asking.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// Logs what is wrong with a handshake that Django is not asked about.
    pub fn log(&self, diagnosis: &Diagnosis, host: &HeaderValue) {
        self.diagnoses().log(diagnosis, "the handshake", host);
    }

    /// What is known to be wrong.
    pub fn diagnoses(&self) -> Arc<Diagnoses> {
        Arc::clone(self.scheduler.client().diagnoses())
    }

    /// Whether Django answered the last call.
    pub fn reach(&self) -> Reachability {
        self.scheduler.client().reach()
    }
}

impl PendingVerdict {
    /// Waits for the answer. While Django cannot be reached, one that is not too old will do.
    pub async fn verdict(self) -> Result<Verdict, AuthError> {
        let judged = tokio::time::timeout(LONGEST_WAIT, self.judged()).await;
        let too_long = || {
            Err(self
                .scheduler
                .client()
                .unreachable("too many handshakes wait"))
        };
        judged.unwrap_or_else(|_| too_long())
    }

    async fn judged(&self) -> Result<Verdict, AuthError> {
        loop {
            let mut waits = match self.scheduler.join(self.key, &self.question) {
                Joined::Known(lease) => return Ok(Verdict::of_lease(&lease)),
                Joined::Over => return Err(self.shutting_down()),
                Joined::Waits(waits) => waits,
            };
            let judgement = match self.landed(&mut waits).await {
                Ok(judgement) => judgement,
                Err(error) => return self.stale(error),
            };
            // An answer that says `lease: 0` is of this handshake alone, as far as its target goes.
            let kept = judgement.answer.lease != Some(Duration::ZERO);
            if kept || judgement.target == self.question.target {
                return Ok(self.verdict_of(&judgement));
            }
        }
    }

    /// Waits until the question has landed, or until it shows that it will take longer and there is
    /// something to go by meanwhile.
    async fn landed(
        &self,
        waits: &mut watch::Receiver<FlightProgress>,
    ) -> Result<Arc<Judgement>, AuthError> {
        loop {
            match &*waits.borrow_and_update() {
                FlightProgress::Judged(result) => return result.clone(),
                FlightProgress::Failing if self.known_stale().is_some() => {
                    return Err(self.scheduler.client().unreachable("it is tried again"));
                }
                FlightProgress::Failing | FlightProgress::Waiting => {}
            }
            if waits.changed().await.is_err() {
                return Err(self.shutting_down());
            }
        }
    }

    fn stale(&self, error: AuthError) -> Result<Verdict, AuthError> {
        let lease = match &error {
            AuthError::Unreachable { .. } => self.known_stale(),
            AuthError::Misconfigured { .. } => None,
        };
        lease.map_or(Err(error), |lease| Ok(Verdict::of_lease(&lease)))
    }

    fn known_stale(&self) -> Option<Arc<Lease>> {
        match self.scheduler.leases.find(&self.key) {
            Lookup::Fresh(lease) | Lookup::Stale(lease) => Some(lease),
            Lookup::Miss => None,
        }
    }

    fn shutting_down(&self) -> AuthError {
        self.scheduler
            .client()
            .unreachable("the gateway is shutting down")
    }

    fn verdict_of(&self, judgement: &Judgement) -> Verdict {
        let answer = &judgement.answer;
        if answer.is_refused {
            return Verdict::Refused;
        }
        let sessions = self.scheduler.leases.digests(&self.question.about.cookies);
        let identity = answer.identity(sessions);
        Verdict::of_judgement(judgement, identity)
    }
}
