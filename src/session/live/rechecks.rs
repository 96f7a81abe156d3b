//! Asking Django again because something happened, and acting upon what it says.
//!
//! Called by `lifecycle` and `revalidate`. An answer counts only when it was asked for after what happened.
//! So what happens while a question is under way is asked about once more, and what happens in bursts when it
//! is calm, never each time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ids::UserId;
use crate::publication::Audience;
use crate::session::answer::Answer;
use crate::session::cookie::SessionCookies;
use crate::session::error::AuthError;
use crate::session::live::answers::{RecheckAnswers, is_nobody, questions};
use crate::session::live::calming::Calming;
use crate::session::live::grants::GrantChecks;
use crate::session::live::locked::RecheckResult;
use crate::session::live::parts::{LifecycleParts, LifecycleSettings};
use crate::session::live::session::LiveSubject;
use crate::session::live::throttle::{SPACING, Throttle};
use crate::session::question::AuthSubject;
use crate::setting::Setting;

/// What may happen many times in a row is acted upon once in this time.
const CALM: Duration = Duration::from_secs(5);

/// Longer than a response takes from Django's database to the browser.
const LATE_RESPONSE: Duration = Duration::from_secs(1);

/// Asks Django again.
#[derive(Debug)]
pub(in crate::session) struct Rechecks {
    pub(super) settings: Arc<Setting<LifecycleSettings>>,
    pub(super) parts: LifecycleParts,
    pub(super) grants: GrantChecks,
    calming: Calming,
    throttle: Throttle,
}

impl Rechecks {
    /// Asks about the sessions of these parts.
    pub(super) fn new(settings: LifecycleSettings, parts: LifecycleParts) -> Self {
        let settings = Arc::new(Setting::new(settings));
        Self {
            grants: GrantChecks::new(parts.clone(), Arc::clone(&settings)),
            settings,
            parts,
            calming: Calming::default(),
            throttle: Throttle::default(),
        }
    }

    /// Asks Django again about sessions and what they listen to, and acts upon what it says. Returns how many
    /// connections were closed.
    pub(super) async fn ask(&self, sessions: &[LiveSubject]) -> usize {
        let closed = self.act(&self.question(sessions).await);
        closed + self.grants.ask(sessions).await
    }

    /// The same because it is their turn. A session that Django does not know any more is closed a moment
    /// later, unless it has another cookie by then: a password change deletes the old session before its
    /// response, which names the new one, has come.
    pub(super) async fn ask_in_turn(self: &Arc<Self>, sessions: &[LiveSubject]) {
        let said = self.question(sessions).await;
        let asked = said.asked;
        let (nobodies, others) = said
            .answers
            .into_iter()
            .partition(|(_, answer)| is_nobody(answer));
        let heard = |answers| RecheckAnswers {
            answers,
            others: Vec::new(),
            asked,
        };
        self.act(&heard(others));
        let nobodies = heard(nobodies);
        let is_somebody = |session: &&LiveSubject| {
            let mut nobodies = nobodies.answers.iter();
            !nobodies.any(|(nobody, _)| nobody.id == session.id)
        };
        let somebodies = sessions.iter().filter(is_somebody).cloned();
        self.grants.ask(&somebodies.collect::<Vec<_>>()).await;
        if nobodies.answers.is_empty() {
            return;
        }
        let this = Arc::clone(self);
        self.parts.drain.spawn(async move {
            if this.parts.is_over(LATE_RESPONSE).await {
                this.act(&nobodies);
            }
        });
    }

    /// What Django says of sessions; each way of asking is asked once.
    pub(super) async fn question(&self, sessions: &[LiveSubject]) -> RecheckAnswers {
        let (questions, places) = questions(sessions);
        let asked = Instant::now();
        let answers = self.parts.asker.recheck(&questions).await;
        let heard = sessions.iter().zip(places);
        let answers = heard.filter_map(|(session, place)| {
            let answer = answers.get(place)?;
            Some((session.clone(), answer.clone()))
        });
        RecheckAnswers {
            answers: answers.collect(),
            others: Vec::new(),
            asked,
        }
    }

    /// Acts upon what Django said. Returns how many connections were closed.
    pub(super) fn act(&self, heard: &RecheckAnswers) -> usize {
        let settle = |(session, answer): &(LiveSubject, Result<Answer, AuthError>)| {
            self.settle(std::slice::from_ref(session), answer.as_ref(), heard.asked)
        };
        let closed = heard.answers.iter().map(settle).sum();
        if closed > 0 {
            tracing::info!(closed, "connections closed, since Django was asked again");
        }
        closed
    }

    /// Asks without waiting for the sessions' turn; where Django gives no judgement, it is theirs next.
    pub(super) async fn ask_at_once(&self, sessions: &[LiveSubject]) -> usize {
        if sessions.is_empty() {
            return 0;
        }
        let closed = self.ask(sessions).await;
        self.parts
            .live
            .end_turn(sessions, self.settings.get().revalidate);
        closed
    }

    /// Asks at once. Gives how many connections were closed; an error means that the gateway goes away.
    pub(super) fn spawn_recheck(
        self: &Arc<Self>,
        sessions: Vec<LiveSubject>,
    ) -> oneshot::Receiver<usize> {
        let (done, closed) = oneshot::channel();
        if sessions.is_empty() {
            let _ = done.send(0);
        } else {
            let this = Arc::clone(self);
            self.parts.drain.spawn(async move {
                // An error means that the caller has left.
                let _ = done.send(this.ask_at_once(&sessions).await);
            });
        }
        closed
    }

    /// Asks about a user: at once, or with others that wish for it in the same second.
    pub(super) fn spawn_user_recheck(self: &Arc<Self>, user: &UserId) -> oneshot::Receiver<usize> {
        let (done, closed) = oneshot::channel();
        if self.parts.live.of_user(user).is_empty() {
            let _ = done.send(0);
            return closed;
        }
        let Some(first) = self.throttle.take(user, done) else {
            return closed;
        };
        let (this, user) = (Arc::clone(self), user.clone());
        self.parts.drain.spawn(async move {
            let mut waiters = vec![first];
            loop {
                let sessions = this.parts.live.of_user(&user);
                let count = this.ask_at_once(&sessions).await;
                if this.parts.live.lack_judgement(&sessions) {
                    this.ask_when_calm(Some(user.clone()));
                }
                for waiter in waiters {
                    let _ = waiter.send(count);
                }
                let goes_on = this.parts.is_over(SPACING).await;
                match this.throttle.next(&user) {
                    Some(next) if goes_on => waiters = next,
                    _ => return,
                }
            }
        });
        closed
    }

    pub(in crate::session) fn settle(
        &self,
        sessions: &[LiveSubject],
        answer: Result<&Answer, &AuthError>,
        asked: Instant,
    ) -> usize {
        let heard = |session: &LiveSubject| RecheckResult {
            answer,
            sessions: self.parts.digests(&session.about.cookies),
            asked,
            grace: self.settings.get().grace,
        };
        let settle = |session| self.parts.live.settle(session, heard(session));
        sessions.iter().map(settle).sum()
    }

    /// Asks Django about the new session, binds or closes the sockets of the old one, then asks about the
    /// user's other sessions.
    pub(super) fn spawn_takeover(
        self: &Arc<Self>,
        sockets: Vec<LiveSubject>,
        new: AuthSubject,
        at: Instant,
    ) {
        let this = Arc::clone(self);
        self.parts.drain.spawn(async move {
            let asked = Instant::now();
            let mut answers = this.parts.asker.recheck(std::slice::from_ref(&new)).await;
            let Some(answer) = answers.pop() else { return };
            this.settle(&sockets, answer.as_ref(), asked);
            this.parts
                .live
                .end_turn(&sockets, this.settings.get().revalidate);
            let new_session = this.parts.digest(&new.cookies);
            let user = match answer {
                Ok(answer) => answer.user,
                // Then whose it was before.
                Err(_) => new_session.and_then(|session| this.parts.live.user_of(&session)),
            };
            this.spawn_others(user, &new.cookies, at);
        });
    }

    /// Asks about a user's other sessions at once, and then not more often than when it is calm. What
    /// Django said of them before `at` counts no more.
    pub(super) fn spawn_others(
        self: &Arc<Self>,
        user: Option<UserId>,
        except: &SessionCookies,
        at: Instant,
    ) {
        let Some(user) = user else { return };
        let outdated = Audience::User(user.clone());
        self.parts.hub.outdate(&outdated, at.into_std());
        let mut others = self.parts.live.of_user(&user);
        others.retain(|session| !session.about.cookies.is_same_session(except));
        if !others.is_empty() {
            self.spawn_calming(user, others);
        }
    }

    /// Asks about a user's sessions once, however much happens to them until it is calm.
    pub(super) fn ask_when_calm(self: &Arc<Self>, user: Option<UserId>) {
        let user = user.filter(|user| self.parts.hub.online(user) > 0);
        if let Some(user) = user {
            self.spawn_calming(user, Vec::new());
        }
    }

    /// Asks about these sessions of a user now, unless they were just asked about; then about all of the
    /// user's when it is calm. None: only then.
    fn spawn_calming(self: &Arc<Self>, user: UserId, now: Vec<LiveSubject>) {
        if !self.calming.begin(&user, !now.is_empty()) {
            return;
        }
        let this = Arc::clone(self);
        self.parts.drain.spawn(async move {
            let mut sessions = now;
            loop {
                this.ask_at_once(&sessions).await;
                if this.parts.live.lack_judgement(&sessions) {
                    this.calming.begin(&user, false);
                }
                let goes_on = this.parts.is_over(CALM).await;
                if !this.calming.next(&user) || !goes_on {
                    return;
                }
                sessions = this.parts.live.of_user(&user);
            }
        });
    }
}
