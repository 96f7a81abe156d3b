//! Asks Django again who may listen by tokens of their own.
//!
//! Called by `grants`, with the sessions that are asked about. What Django denies, tokens from before that do not grant
//! again, or a page would only have to send its token once more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use http::HeaderValue;

use crate::hub::Holder;
use crate::ids::{TopicName, UserId};
use crate::session::ask::batch::{TopicAnswer, TopicQuestion};
use crate::session::live::parts::LifecycleParts;
use crate::session::live::session::LiveSubject;

/// Users of one topic that are asked about together.
const MOST_USERS: usize = 10_000;

/// Who listens to which topic.
type TokenListeners = BTreeMap<TopicName, BTreeSet<UserId>>;

/// Who was asked about in vain, and when.
struct Denied<'a> {
    topic: &'a TopicName,
    users: BTreeSet<&'a UserId>,
    asked: Instant,
}

/// Asks about grants by tokens.
#[derive(Clone, Debug)]
pub(super) struct TokenChecks {
    parts: LifecycleParts,
}

impl TokenChecks {
    pub(super) fn new(parts: LifecycleParts) -> Self {
        Self { parts }
    }

    /// Asks who may still listen by tokens.
    pub(super) async fn ask(&self, sessions: &[LiveSubject]) {
        for (host, listeners) in self.token_listeners(sessions) {
            let mut questions = Vec::new();
            for (topic, users) in &listeners {
                let users: Vec<_> = users.iter().cloned().collect();
                questions.extend(users.chunks(MOST_USERS).map(|users| TopicQuestion {
                    topic: topic.clone(),
                    users: users.to_vec(),
                }));
            }
            let asked = Instant::now();
            let said = self.parts.asker.recheck_topics(&host, &questions).await;
            for (question, said) in questions.iter().zip(said) {
                let TopicAnswer::Users(allowed) = said else {
                    continue;
                };
                let users = question.users.iter();
                let denied = Denied {
                    topic: &question.topic,
                    users: users.filter(|user| !allowed.contains(user)).collect(),
                    asked,
                };
                self.end_tokens(sessions, &denied);
            }
        }
    }

    /// Who listens to what by tokens of their own, by host.
    fn token_listeners(&self, sessions: &[LiveSubject]) -> HashMap<HeaderValue, TokenListeners> {
        let mut found: HashMap<_, TokenListeners> = HashMap::new();
        for session in sessions {
            let Some(identity) = self.parts.live.identity_of(session) else {
                continue;
            };
            let topics = self
                .parts
                .hub
                .grants()
                .token_topics(Holder::Session(&identity));
            for topic in topics {
                let of_host = found.entry(session.about.host.clone()).or_default();
                let users = of_host.entry(topic).or_default();
                users.insert(identity.user.clone());
            }
        }
        found
    }

    /// Takes a topic away from those who may not listen any more.
    fn end_tokens(&self, sessions: &[LiveSubject], denied: &Denied<'_>) {
        if denied.users.is_empty() {
            return;
        }
        for session in sessions {
            if let Some(identity) = self.parts.live.identity_of(session)
                && denied.users.contains(&identity.user)
            {
                let (holder, grants) = (Holder::Session(&identity), self.parts.hub.grants());
                grants.end_token(holder, denied.topic, denied.asked);
            }
        }
    }
}
