//! A scripted Django, and the sessions that it judges.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::close::CloseReason;
use crate::hub::{Hub, Member, OutboxLimits, Taken};
use crate::identity::Identity;
use crate::ids::{GroupName, NodeId, RequestId, RequestName, SessionDigest, TraceSource, UserId};
use crate::net::drain::Drain;
use crate::secret::{Secret, Secrets};
use crate::session::diagnosis::Unreachable;
use crate::session::live::asker::{Answers, Asker, TopicAnswers};
use crate::session::live::lifecycle::Replacement;
use crate::session::{
    Answer, AuthError, AuthSubject, CookieNames, Judged, LeaseTerms, Leases, Lifecycle,
    LifecycleParts, LifecycleSettings, LiveSessions, Question, SessionCookies, SessionMember,
    TopicAnswer, TopicQuestion, ViewSubject,
};

/// A follower of sessions that never asks.
pub(crate) fn lifecycle(hub: &Arc<Hub>) -> Arc<Lifecycle> {
    Stage::of(Arc::clone(hub)).lifecycle
}

/// Hub, Django and what stands between them.
pub(super) struct Stage {
    pub(super) hub: Arc<Hub>,
    pub(super) django: Arc<Script>,
    pub(super) live: Arc<LiveSessions>,
    pub(super) leases: Arc<Leases>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) drain: Drain,
}

/// Answers by the picked cookies; unknown ones are nobody's.
#[derive(Debug, Default)]
pub(super) struct Script {
    answers: Mutex<HashMap<String, Answer>>,
    /// When it was asked, and about how many.
    calls: Mutex<Vec<(Instant, usize)>>,
    view_calls: Mutex<Vec<Vec<ViewSubject>>>,
    followers: Mutex<HashMap<String, Vec<&'static str>>>,
    away: AtomicBool,
    /// How long it thinks about each question.
    takes: Mutex<Duration>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::of(Arc::new(Hub::new(OutboxLimits {
            frames: 8,
            bytes: 1024,
        })))
    }

    fn of(hub: Arc<Hub>) -> Self {
        let drain = Drain::new();
        let django = Arc::new(Script::default());
        let live = Arc::new(LiveSessions::new(Arc::clone(&hub)));
        let settings = LifecycleSettings {
            revalidate: Duration::from_mins(1),
            grace: Duration::from_mins(10),
        };
        let terms = LeaseTerms {
            lease: Duration::from_secs(10),
            grace: settings.grace,
        };
        let leases = Arc::new(Leases::new(terms, secrets(), Arc::clone(&hub)));
        let parts = LifecycleParts {
            live: Arc::clone(&live),
            asker: Arc::clone(&django) as _,
            leases: Arc::clone(&leases),
            hub: Arc::clone(&hub),
            drain: drain.watch(),
        };
        Self {
            lifecycle: Arc::new(Lifecycle::new(settings, parts)),
            hub,
            django,
            live,
            leases,
            drain,
        }
    }

    /// Starts the row and the watch over ends.
    pub(super) fn run(&self) {
        self.drain.watch().spawn(self.lifecycle.run());
    }

    /// A new connection of a session that Django says is this user's, asked just now.
    pub(super) fn tab(&self, cookie: &str, user: &str) -> SessionMember {
        self.django.says(cookie, &answer(user));
        self.join(cookie, &answer(user)).unwrap()
    }

    /// A new connection whose handshake heard this just now. The hub's own clock cannot be paused, so what
    /// is about its revocations says when it asked.
    pub(super) fn join(&self, cookie: &str, answer: &Answer) -> Result<SessionMember, CloseReason> {
        self.join_asked(cookie, answer, Instant::now().into_std())
    }

    /// Django puts another session in the place of one.
    pub(super) fn replaces(&self, old: &str, new: &str, known: Option<Answer>) {
        let (new, at) = (about(new), Instant::now());
        let by = Replacement { new, known, at };
        self.lifecycle.replaced(&cookies(old), by);
    }

    pub(super) fn join_asked(
        &self,
        cookie: &str,
        answer: &Answer,
        asked: std::time::Instant,
    ) -> Result<SessionMember, CloseReason> {
        let identity = identity(cookie, answer);
        let connect = |who| Member::new(who, "/ws/".into(), Ipv4Addr::LOCALHOST.into());
        self.lifecycle
            .join(&about(cookie), Judged { identity, asked }, connect)
    }
}

impl Script {
    pub(super) fn says(&self, cookie: &str, answer: &Answer) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(format!("sessionid={cookie}"), answer.clone());
    }

    pub(super) fn go(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub(super) fn takes(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    pub(super) fn calls(&self) -> Vec<(Instant, usize)> {
        self.calls.lock().unwrap().clone()
    }

    /// What a view says of a session.
    pub(super) fn view_says(&self, cookie: &str, path: &str, answer: &Answer) {
        let key = format!("sessionid={cookie} {path}");
        self.answers.lock().unwrap().insert(key, answer.clone());
    }

    /// Who may listen to a topic by a token.
    pub(super) fn may_follow(&self, topic: &str, users: &[&'static str]) {
        let mut followers = self.followers.lock().unwrap();
        followers.insert(topic.to_owned(), users.to_vec());
    }

    /// How many pairs of a session and a path each call was about.
    pub(super) fn view_calls(&self) -> Vec<usize> {
        self.view_calls
            .lock()
            .unwrap()
            .iter()
            .map(Vec::len)
            .collect()
    }

    fn judge(&self, session: &AuthSubject) -> Result<Answer, AuthError> {
        self.judge_by(session.cookies.header().to_str().unwrap())
    }

    fn judge_by(&self, key: &str) -> Result<Answer, AuthError> {
        if self.away.load(Ordering::Relaxed) {
            let (place, cause) = ("a script".into(), Unreachable::TimedOut);
            return Err(AuthError::Unreachable { place, cause });
        }
        let answers = self.answers.lock().unwrap();
        Ok(answers.get(key).cloned().unwrap_or_default())
    }
}

impl Asker for Script {
    fn recheck<'a>(&'a self, sessions: &'a [AuthSubject]) -> Answers<'a> {
        let mut calls = self.calls.lock().unwrap();
        calls.push((Instant::now(), sessions.len()));
        let takes = *self.takes.lock().unwrap();
        Box::pin(async move {
            tokio::task::yield_now().await;
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            sessions.iter().map(|session| self.judge(session)).collect()
        })
    }

    fn recheck_views<'a>(&'a self, views: &'a [ViewSubject]) -> Answers<'a> {
        let said = |subject: &ViewSubject| {
            let cookie = subject.about.cookies.header().to_str().unwrap();
            let key = format!("{cookie} {}", subject.view.as_str());
            self.judge_by(&key)
        };
        self.view_calls.lock().unwrap().push(views.to_vec());
        Box::pin(async move { views.iter().map(said).collect() })
    }

    fn recheck_topics<'a>(
        &'a self,
        _host: &'a HeaderValue,
        topics: &'a [TopicQuestion],
    ) -> TopicAnswers<'a> {
        let followers = self.followers.lock().unwrap().clone();
        let said = topics.iter().map(move |question| {
            let known = followers.get(question.topic.as_str());
            known.map_or(TopicAnswer::NotListed, |users| {
                TopicAnswer::Users(users.iter().map(|user| UserId::new(user)).collect())
            })
        });
        let said: Vec<_> = said.collect();
        Box::pin(async move { said })
    }

    fn at_once(&self) -> usize {
        500
    }
}

pub(in crate::session) fn answer(user: &str) -> Answer {
    Answer {
        user: Some(UserId::new(user)),
        ..Answer::default()
    }
}

pub(super) fn in_group(user: &str, group: &str) -> Answer {
    Answer {
        groups: [GroupName::new(group)].into(),
        ..answer(user)
    }
}

pub(super) fn cookies(value: &str) -> SessionCookies {
    let names = CookieNames::session("sessionid");
    let header = HeaderValue::from_str(&format!("sessionid={value}")).unwrap();
    SessionCookies::pick(&header, &names).unwrap()
}

pub(super) fn digest(value: &str) -> SessionDigest {
    cookies(value).digests(&secrets())[0]
}

pub(super) fn about(value: &str) -> AuthSubject {
    AuthSubject {
        cookies: cookies(value),
        host: HeaderValue::from_static("localhost"),
        address: Ipv4Addr::LOCALHOST.into(),
        user_agent: Some(HeaderValue::from_static("Scripted/1.0")),
        accept_language: None,
        origin: None,
    }
}

/// A handshake with this session.
pub(in crate::session) fn question(value: &str) -> Question {
    Question {
        about: about(value),
        target: "/ws/".into(),
        request: Some(RequestName {
            id: RequestId::new(NodeId::random(), 1),
            trace: TraceSource::random().trace(1),
        }),
        view: None,
    }
}

/// The reason for which a connection was told to close.
pub(super) fn closed(tab: &SessionMember) -> Option<CloseReason> {
    let context = Context::from_waker(Waker::noop());
    match tab.member().outbox.poll_take(&context) {
        Poll::Ready(Taken::Close(reason)) => Some(reason),
        _ => None,
    }
}

pub(in crate::session) fn identity(cookie: &str, answer: &Answer) -> Identity {
    answer
        .identity(cookies(cookie).digests(&secrets()))
        .unwrap()
}

pub(super) fn secrets() -> Secrets {
    Secrets {
        current: Secret::new(vec![7; 32]),
        previous: None,
    }
}
