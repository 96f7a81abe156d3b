//! Lets connections listen to topics, by tokens and by what views say, and tells them what came of it.
//!
//! The handshake brings tokens of its query and the word of its path's view, the connection those of messages. Both are
//! judged before, but a topic is heard and its answer queued while nothing is published (see the broker), so that no
//! frame comes before the word that announces it, and none after the one that ends it.

mod by_path;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod grant;
mod greeting;
mod judged;
mod query;
mod request;

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;

pub(super) use by_path::{PathAnswer, PathRequest, PathRequests, ViewSaid};
pub(super) use grant::ViewGrant;
pub(super) use greeting::{Greeting, ToldFirst};
use judged::{JudgedGrants, cut};
pub(super) use query::{OwnParameters, view_of};
pub(super) use request::TopicRequest;
use request::Wish;

use crate::broker::{Broker, Heard, Joining, Recovery, Since, Subscribing};
use crate::close::CloseReason;
use crate::hub::{Grant, Granter, Item, Member, NotHeard, ViewNow, ViewSays};
use crate::ids::{TopicName, UserId};
use crate::publication::Position;
use crate::secret::Secrets;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::token::TokenReader;
use crate::words::{self, Word};

/// Bytes of tokens that one handshake may bring.
const QUERY: usize = 4 * 1024;
/// Bytes of tokens that one message may bring.
const MESSAGE: usize = 8 * 1024;

/// What lets a new connection listen, besides its tokens.
#[derive(Debug, Default)]
pub(super) struct Entitlement {
    /// When Django was asked for what it is told first, where it is told something.
    pub(super) since: Option<Instant>,
    /// What the view of its path grants.
    pub(super) heard: Option<ViewGrant>,
}

/// Lets connections listen.
#[derive(Debug)]
pub struct TopicDesk {
    broker: Arc<Broker>,
    tokens: TokenReader,
    metrics: Arc<Metrics>,
}

impl TopicDesk {
    /// Believes tokens that were made with these secrets.
    pub fn new(broker: Arc<Broker>, secrets: &Secrets, metrics: Arc<Metrics>) -> Self {
        Self {
            broker,
            tokens: TokenReader::new(secrets),
            metrics,
        }
    }

    /// Lets a new connection hear: what its client missed since what it has, or since Django was asked for what it
    /// is told first, and what the tokens of its handshake and the view of its path grant. Returns what is sent
    /// before that.
    pub(super) fn admit(&self, member: &Member, own: &OwnParameters, by: Entitlement) -> Greeting {
        let tokens = own.tokens.iter().map(|token| &**token);
        let mut judged = JudgedGrants::of(&self.tokens, member, tokens, QUERY);
        if let Some(view) = by.heard {
            let heard = view.heard(true);
            self.broker.hub().watch(member.id, &heard);
            judged.grants.extend(view.grants(&heard));
        }
        let heard = self.broker.join(&Joining {
            connection: member.id,
            since: own.since,
            told: by.since,
            grants: &judged.grants,
        });
        self.count(&heard, &mut judged);
        self.count_resume(own.since, heard.recovery);
        Greeting {
            recovery: heard.recovery,
            items: judged.words(None).map(Item::word).collect(),
        }
    }

    /// Lets a new connection listen to what Django granted when it was asked: all of it, or nothing. It gets what its
    /// client missed, or what was published since Django was asked.
    pub(super) fn grant(
        &self,
        member: &Member,
        topics: &[TopicName],
        told: ToldFirst,
    ) -> Result<Greeting, NotHeard> {
        let ToldFirst { view, since, asked } = told;
        let now = ViewNow {
            view: &view,
            asked,
            // Where it ends by itself the view is asked again, which is no refusal.
            says: ViewSays::Topics(topics, None),
        };
        let (who, grants) = (member.identity(), self.broker.hub().grants());
        grants.hear(who.sessions.first().copied(), Some(&who), &now);
        let grant = |topic: &TopicName| {
            let (topic, view) = (topic.clone(), view.clone());
            let by = Granter::Stream { view, asked };
            Grant { topic, by }
        };
        let grants: Vec<_> = topics.iter().map(grant).collect();
        let heard = self.broker.join(&Joining {
            connection: member.id,
            since,
            told: Some(asked),
            grants: &grants,
        });
        self.count(&heard, &mut JudgedGrants::default());
        self.count_resume(since, heard.recovery);
        match heard.refused.first() {
            Some(refused) => Err(refused.why),
            None => Ok(Greeting {
                recovery: heard.recovery,
                items: Vec::new(),
            }),
        }
    }

    /// Where in the history all connections are.
    pub(super) fn position(&self) -> Position {
        self.broker.position()
    }

    /// Does what a message asks for, and answers.
    pub(super) fn answer(&self, member: &Member, request: &TopicRequest<'_>) {
        let id = request.id;
        let say = |word: Word<'_>| self.broker.hub().say(member.id, word.to(id).text());
        match &request.wish {
            Wish::Tokens { tokens, since } => {
                let tokens = tokens.iter().map(|token| &**token);
                let judged = JudgedGrants::of(&self.tokens, member, tokens, MESSAGE);
                let since = *since;
                self.subscribe(member, judged, SubscriptionRequest { since, id });
            }
            Wish::Stop(names) => self.unsubscribe(member, names, id),
            // A path takes a while, see `PathRequests`.
            Wish::Path { .. } => {}
            Wish::Malformed => {
                self.count_one("malformed");
                say(Word::refused(&[], "malformed"));
            }
        }
    }

    fn subscribe(&self, member: &Member, mut judged: JudgedGrants, asked: SubscriptionRequest<'_>) {
        // Where everything is refused, that is the answer.
        let is_answered = |heard: &Heard| {
            !heard.topics.is_empty() || judged.refused.is_empty() && heard.refused.is_empty()
        };
        let subscribing = Subscribing {
            since: asked.since,
            grants: &judged.grants,
        };
        let heard = self.broker.subscribe(member.id, subscribing, |heard| {
            let (names, recovery) = (words::texts(&heard.topics), heard.recovery);
            let word = Word::subscribed(&names, recovery.position, recovery.recovered);
            is_answered(heard).then(|| word.to(asked.id).text())
        });
        self.count(&heard, &mut judged);
        for word in judged.words(asked.id) {
            self.broker.hub().say(member.id, word);
        }
    }

    /// Acts upon what came of a path that a connection asked for. Gives the request back where Django has to be
    /// asked once more: something has happened since that its answer does not know of.
    pub(super) fn settle(&self, member: &Member, answer: PathAnswer) -> Option<PathRequest> {
        let PathAnswer { request, said } = answer;
        let grant = match said {
            ViewSaid::Grants { grant, user } => {
                let identity = member.identity();
                if identity.user.as_str() == user.as_ref().map_or("", UserId::as_str) {
                    let outdated = self.broker.hub().revoked(&identity, grant.asked);
                    if outdated == Some(CloseReason::SessionChanged) {
                        return Some(request);
                    }
                    Ok(grant)
                } else {
                    Err("not_allowed")
                }
            }
            ViewSaid::Nothing(reason) => Err(reason),
        };
        let id = request.id.as_deref();
        match grant {
            Ok(grant) => {
                let heard = grant.heard(false);
                let judged = JudgedGrants {
                    grants: grant.grants(&heard).collect(),
                    ..JudgedGrants::default()
                };
                self.subscribe(
                    member,
                    judged,
                    SubscriptionRequest {
                        since: request.since,
                        id,
                    },
                );
            }
            Err(reason) => self.refuse_path(member, &request, reason),
        }
        None
    }

    /// Answers that nothing is granted at a path.
    pub(super) fn refuse_path(&self, member: &Member, request: &PathRequest, reason: &'static str) {
        self.count_one(reason);
        let word = Word::path_refused(cut(&request.path), reason).to(request.id.as_deref());
        self.broker.hub().say(member.id, word.text());
    }

    fn unsubscribe(&self, member: &Member, names: &[impl AsRef<str>], id: Option<&RawValue>) {
        let topics = names
            .iter()
            .filter_map(|name| TopicName::new(name.as_ref()));
        let mut topics: Vec<_> = topics.collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in &topics {
            if self.broker.hub().unsubscribe(member.id, topic) {
                self.count_one("unsubscribed");
            }
        }
        let names = words::texts(&topics);
        let word = Word::unsubscribed(&names, "asked").to(id);
        self.broker.hub().say(member.id, word.text());
    }

    fn count(&self, heard: &Heard, judged: &mut JudgedGrants) {
        for refused in &heard.refused {
            let reason = match refused.why {
                NotHeard::Gone => continue,
                NotHeard::Revoked => "not_allowed",
                NotHeard::TooMany => "too_many",
            };
            judged.refuse(reason, std::slice::from_ref(&refused.topic));
        }
        let add = |outcome, count: usize| {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let counted = self
                .metrics
                .subscriptions
                .get_or_create(&OutcomeLabel { outcome });
            counted.inc_by(count);
        };
        add("subscribed", heard.topics.len());
        for (reason, names) in &judged.refused {
            add(reason, names.len().max(1));
        }
    }

    /// Counts a client that says what it has.
    fn count_resume(&self, since: Since, recovery: Recovery) {
        let outcome = match (since, recovery.recovered) {
            (Since::Unsaid, _) => return,
            (Since::Position(_), true) => "recovered",
            (Since::Position(_), false) => "lost",
        };
        self.metrics
            .resumes
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    fn count_one(&self, outcome: &'static str) {
        self.metrics
            .subscriptions
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}

/// What is answered to a message.
#[derive(Clone, Copy)]
struct SubscriptionRequest<'a> {
    since: Since,
    id: Option<&'a RawValue>,
}
