//! Asks Django who a session is: one signed `GET` for each handshake that no lease answers.
//!
//! Called by `socket`, and by whoever re-checks live sessions. The surprise: at most `auth.concurrency`
//! calls are under way, the rest wait their turn, so that a crowd coming back never takes all of
//! Django's workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, header};
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::diagnosis::Diagnosis;
use super::endpoint::{Answered, AuthCall, AuthError, AuthSettings, AuthorityError, Endpoint};
use super::lease::{Known, Lease, Leases, SessionAt};
use super::place::describe;
use super::question::{Question, Recheck};
use super::standing::{Diagnoses, Whose};
use crate::hub::Hub;
use crate::identity::Identity;
use crate::publication::Frame;
use crate::secret::Secrets;
use crate::telemetry::metrics::{Metrics, Outcome};

/// A handshake that waited so long for its turn is told to come back later. Less than the minute
/// for which the hub remembers revocations.
const LONGEST_TURN: Duration = Duration::from_secs(50);

/// Asks Django.
#[derive(Debug)]
pub struct Authority {
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    turns: Semaphore,
    secrets: Secrets,
    leases: Arc<Leases>,
    metrics: Arc<Metrics>,
    last: Mutex<Last>,
    diagnoses: Arc<Diagnoses>,
}

/// How the last call went.
#[derive(Debug, Default)]
struct Last {
    reach: Reach,
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

/// What Django says of a session.
#[derive(Debug)]
pub enum Verdict {
    /// Nobody is logged in.
    Anonymous,
    /// Somebody is.
    LoggedIn(LoggedIn),
}

/// A session with a user.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who it is.
    pub identity: Identity,
    /// What the connection gets first.
    pub frames: Vec<Frame>,
    /// The answer's `Set-Cookie` fields, for the handshake's answer.
    pub set_cookies: Vec<HeaderValue>,
    /// When Django was asked: a revocation since then wins.
    pub asked: Instant,
}

impl Authority {
    /// Makes the clients; connects to nothing yet.
    pub fn build(
        settings: &AuthSettings,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AuthorityError> {
        let leases = Leases::new(settings.terms, settings.secrets.clone(), hub);
        Ok(Self {
            endpoints: Endpoint::build(settings)?,
            next: AtomicUsize::new(0),
            turns: Semaphore::new(settings.concurrency),
            secrets: settings.secrets.clone(),
            leases: Arc::new(leases),
            diagnoses: Arc::new(Diagnoses::new(Arc::clone(&metrics))),
            metrics,
            last: Mutex::default(),
        })
    }

    /// What is relied upon without asking; `None` where Django has to be asked.
    pub fn known(&self, session: SessionAt<'_>) -> Option<Verdict> {
        match self.leases.find(&self.leases.key(session)) {
            Known::Fresh(lease) => Some(Verdict::of(&lease)),
            Known::Nothing => None,
        }
    }

    /// Asks who a session is.
    pub async fn judge(&self, question: &Question) -> Result<Verdict, AuthError> {
        let Question {
            about,
            target,
            request_id,
        } = question;
        let handshake = Some((&**target, *request_id));
        let (answered, asked) = self.ask(AuthCall { about, handshake }).await?;
        let sessions = about.cookies.digests(&self.secrets);
        let Some(identity) = answered.answer.identity(sessions) else {
            return Ok(Verdict::Anonymous);
        };
        let cookies = answered.headers.get_all(header::SET_COOKIE);
        Ok(Verdict::LoggedIn(LoggedIn {
            identity,
            frames: answered.answer.frames,
            set_cookies: cookies.iter().cloned().collect(),
            asked,
        }))
    }

    /// Asks again who these sessions are, whatever leases say; the answers come in their order.
    pub async fn recheck(&self, sessions: &[Recheck]) -> Vec<Result<Answer, AuthError>> {
        let mut answers = Vec::with_capacity(sessions.len());
        for about in sessions {
            let call = AuthCall {
                about,
                handshake: None,
            };
            let answered = self.ask(call).await;
            answers.push(answered.map(|(answered, _)| answered.answer));
        }
        answers
    }

    /// What is relied upon without asking.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// What is known to be wrong.
    pub fn diagnoses(&self) -> &Arc<Diagnoses> {
        &self.diagnoses
    }

    /// Whether Django answered the last call.
    pub fn reach(&self) -> Reach {
        self.last().reach
    }

    /// Asks once in its turn, and keeps the answer.
    async fn ask(&self, call: AuthCall<'_>) -> Result<(Answered, Instant), AuthError> {
        let asked = Instant::now();
        let answered = self.call(call).await;
        self.note(&answered, &call.about.host);
        let answered = answered?;
        let session = call.about.session();
        self.leases.grant(session, &answered.answer, asked);
        Ok((answered, asked))
    }

    async fn call(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let turn = tokio::time::timeout(LONGEST_TURN, self.turns.acquire()).await;
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len();
        let Ok(Ok(_turn)) = turn else {
            return Err(self.endpoints[first].unreachable("too many handshakes wait".into()));
        };
        // A second address is tried where the first refuses; a second time where a kept connection
        // turns out to be dead: an auth call changes nothing, so asking twice is safe.
        let attempts = self.endpoints.len().max(2);
        let mut last = None;
        for attempt in 0..attempts {
            let endpoint = &self.endpoints[(first + attempt) % self.endpoints.len()];
            match endpoint.call(call, &self.secrets).await {
                Ok(answered) => return endpoint.read(answered, call, &self.secrets).await,
                Err(error) => {
                    let again = !error.is_timeout();
                    last = Some(endpoint.unreachable(describe(&error)));
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| self.endpoints[first].unreachable("not tried".into())))
    }

    /// Counts an outcome, and logs a change from the last one.
    fn note(&self, answered: &Result<Answered, AuthError>, host: &HeaderValue) {
        let outcome = match answered {
            Ok(answered) if answered.answer.user.is_some() => "user",
            Ok(_) => "anonymous",
            Err(AuthError::Unreachable { .. }) => "unreachable",
            Err(AuthError::Misconfigured { .. }) => "misconfigured",
        };
        self.metrics
            .auth_calls
            .get_or_create(&Outcome { outcome })
            .inc();
        let reach = match answered {
            Err(AuthError::Unreachable { .. }) => Reach::Unreachable,
            _ => Reach::Reachable,
        };
        self.last().reach = reach;
        match answered {
            Ok(Answered { answer, .. }) => {
                let whose = answer
                    .user
                    .as_ref()
                    .map_or(Whose::Anonymous, |_| Whose::User);
                self.diagnoses.answered(host, whose);
            }
            Err(AuthError::Misconfigured { place, diagnosis }) => {
                self.diagnoses.tell(diagnosis, place, host);
            }
            Err(AuthError::Unreachable { place, cause }) => {
                self.diagnoses.tell(&Diagnosis::silence(cause), place, host);
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verdict {
    fn of(lease: &Lease) -> Self {
        match &lease.identity {
            Some(identity) => Self::LoggedIn(LoggedIn {
                identity: identity.clone(),
                frames: lease.frames.to_vec(),
                set_cookies: Vec::new(),
                asked: lease.asked,
            }),
            None => Self::Anonymous,
        }
    }
}
