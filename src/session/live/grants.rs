//! Asks Django again about what connections listen to: the views that let them; tokens: see `token_grants`.
//!
//! Used by `rechecks` for sessions, and run by `revalidate` for visitors and for what ends by itself. Each pair of
//! a session and a path is asked about once, however many tabs listen by it; and "nobody is logged in" is believed
//! a moment later only, since the session may have got another cookie meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

use crate::close::CloseReason;
use crate::hub::{Holder, ViewNow, ViewSays};
use crate::ids::{ConnectionId, UserId, ViewTarget};
use crate::session::answer::{Answer, GrantedTopics};
use crate::session::error::AuthError;
use crate::session::live::parts::{LifecycleParts, LifecycleSettings};
use crate::session::live::session::LiveSubject;
use crate::session::live::token_grants::TokenChecks;
use crate::session::question::ViewSubject;
use crate::setting::Setting;

/// As in `rechecks`.
const LATE_RESPONSE: Duration = Duration::from_secs(1);

/// Asks about grants.
#[derive(Clone, Debug)]
pub(super) struct GrantChecks {
    parts: LifecycleParts,
    tokens: TokenChecks,
    settings: Arc<Setting<LifecycleSettings>>,
}

/// Somebody who listens by a view.
#[derive(Clone, Debug)]
enum ViewListener {
    Session(Box<LiveSubject>),
    Visitor(ConnectionId),
}

/// A view, and who listens by it.
#[derive(Debug)]
struct ViewPair {
    subject: ViewSubject,
    listeners: Vec<ViewListener>,
}

/// What is asked about, each pair once.
#[derive(Default)]
struct ViewPairs {
    pairs: Vec<ViewPair>,
    places: HashMap<ViewPairKey, usize>,
}

/// What tells pairs apart: host, cookies and path.
type ViewPairKey = (HeaderValue, HeaderValue, ViewTarget);

impl GrantChecks {
    pub(super) fn new(parts: LifecycleParts, settings: Arc<Setting<LifecycleSettings>>) -> Self {
        Self {
            tokens: TokenChecks::new(parts.clone()),
            parts,
            settings,
        }
    }

    /// Asks about what sessions listen to. Returns how many connections were closed.
    pub(super) async fn ask(&self, sessions: &[LiveSubject]) -> usize {
        let mut pairs = ViewPairs::default();
        for session in sessions {
            let Some(identity) = self.parts.live.identity_of(session) else {
                continue;
            };
            for view in self.parts.hub.grants().views(Holder::Session(&identity)) {
                let about = session.about.clone();
                pairs.add(
                    ViewSubject { about, view },
                    ViewListener::Session(session.clone().into()),
                );
            }
        }
        let closed = self.ask_pairs(pairs).await;
        self.tokens.ask(sessions).await;
        closed
    }

    /// Asks about what visitors listen to, all of them.
    pub(super) async fn ask_visitors(&self) {
        let mut pairs = ViewPairs::default();
        for (connection, about) in self.parts.live.visitors() {
            let holder = Holder::Connection(connection);
            for view in self.parts.hub.grants().views(holder) {
                let about = (*about).clone();
                pairs.add(
                    ViewSubject { about, view },
                    ViewListener::Visitor(connection),
                );
            }
        }
        self.ask_pairs(pairs).await;
    }

    /// Asks about what ends by itself now, at most so many. Whether there may be more.
    pub(super) async fn ask_about_ends(&self, most: usize) -> bool {
        let (live, hub) = (&self.parts.live, &self.parts.hub);
        let ends = hub.grants().take_ends(SystemTime::now(), most);
        let mut pairs = ViewPairs::default();
        for end in &ends {
            let Some(identity) = hub.grants().identity(end.connection) else {
                continue;
            };
            let view = end.view.clone();
            if let Some(about) = live.visitor(end.connection) {
                let about = (*about).clone();
                pairs.add(
                    ViewSubject { about, view },
                    ViewListener::Visitor(end.connection),
                );
            } else if let Some(session) = live.of_identity(&identity) {
                let about = session.about.clone();
                pairs.add(
                    ViewSubject { about, view },
                    ViewListener::Session(session.into()),
                );
            }
        }
        self.ask_pairs(pairs).await;
        ends.len() == most
    }

    async fn ask_pairs(&self, pairs: ViewPairs) -> usize {
        if pairs.pairs.is_empty() {
            return 0;
        }
        let asked = Instant::now();
        let subjects = pairs.pairs.iter().map(|pair| pair.subject.clone());
        let subjects: Vec<_> = subjects.collect();
        let said = self.parts.asker.recheck_views(&subjects).await;
        let (mut closed, mut late) = (0, Vec::new());
        for (pair, said) in pairs.pairs.into_iter().zip(said) {
            if matches!(&said, Ok(answer) if answer.user.is_none() && !answer.is_refused) {
                late.push((pair, said));
            } else {
                closed += self.settle(&pair, &said, asked);
            }
        }
        self.settle_late(late, asked);
        closed
    }

    /// What is said of nobody may be about a session that has just got another cookie.
    fn settle_late(&self, late: Vec<(ViewPair, Result<Answer, AuthError>)>, asked: Instant) {
        let (visitors, sessions): (Vec<_>, Vec<_>) = late
            .into_iter()
            .partition(|(pair, _)| matches!(pair.listeners[..], [ViewListener::Visitor(_), ..]));
        for (pair, said) in &visitors {
            self.settle(pair, said, asked);
        }
        if sessions.is_empty() {
            return;
        }
        let this = self.clone();
        self.parts.drain.spawn(async move {
            if this.parts.is_over(LATE_RESPONSE).await {
                for (pair, said) in &sessions {
                    this.settle(pair, said, asked);
                }
            }
        });
    }

    fn settle(&self, pair: &ViewPair, said: &Result<Answer, AuthError>, asked: Instant) -> usize {
        let settle = |listener: &ViewListener| {
            // Where the session has got other cookies by now, the answer is not about it.
            let identity = match listener {
                ViewListener::Visitor(_) => None,
                ViewListener::Session(session) => Some(self.parts.live.identity_of(session)?),
            };
            let holder = match (listener, &identity) {
                (ViewListener::Visitor(connection), _) => Holder::Connection(*connection),
                (ViewListener::Session(_), Some(identity)) => Holder::Session(identity),
                (ViewListener::Session(_), None) => return None,
            };
            let user = identity.as_ref().map(|identity| &identity.user);
            let close = reason(said, user);
            let now = ViewNow {
                view: &pair.subject.view,
                asked,
                says: match (said, granted(said, user)) {
                    (Err(_), _) => ViewSays::Silence(self.settings.get().grace, &close),
                    (Ok(_), None) => ViewSays::Nothing(&close),
                    (Ok(_), Some(granted)) => ViewSays::Topics(&granted.topics, granted.expires),
                },
            };
            Some(self.parts.hub.grants().settle_view(holder, &now))
        };
        pair.listeners.iter().filter_map(settle).sum()
    }
}

/// What a view grants, and to which user.
fn granted<'a>(
    said: &'a Result<Answer, AuthError>,
    user: Option<&UserId>,
) -> Option<&'a GrantedTopics> {
    let answer = said.as_ref().ok()?;
    let listening = answer.listening.as_ref();
    listening.filter(|_| answer.user.as_ref() == user)
}

/// Why a connection of the view's own path closes where it is granted nothing.
fn reason(said: &Result<Answer, AuthError>, user: Option<&UserId>) -> CloseReason {
    match said {
        Err(error) => error.outage(),
        Ok(answer) if answer.is_refused => CloseReason::NotAllowed,
        Ok(Answer {
            user: Some(other), ..
        }) if Some(other) != user => CloseReason::AnotherUser,
        Ok(_) => CloseReason::NotLoggedIn,
    }
}

impl ViewPairs {
    fn add(&mut self, subject: ViewSubject, listener: ViewListener) {
        let about = &subject.about;
        let key = (
            about.host.clone(),
            about.cookies.header().clone(),
            subject.view.clone(),
        );
        let place = *self.places.entry(key).or_insert(self.pairs.len());
        if place == self.pairs.len() {
            self.pairs.push(ViewPair {
                subject,
                listeners: Vec::new(),
            });
        }
        self.pairs[place].listeners.push(listener);
    }
}
