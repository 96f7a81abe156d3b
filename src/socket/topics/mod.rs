//! Lets connections listen to topics by tokens, and tells them what came of it.
//!
//! The handshake brings tokens of its query, the connection those of messages. The surprise: tokens are judged
//! before, but a topic is heard and its answer queued while nothing is published (see the broker), so that
//! no frame comes before the word that announces it, and none after the one that ends it.

mod greeting;
mod judged;
mod query;
mod request;

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::{OwnParameters, TopicRequest};
    use crate::token::Token;
    use crate::words;

    /// Reads a text in every way in which a client's is read.
    pub fn read(text: &str) {
        let _ = Token::parse(text).map(|token| token.topics().len());
        let _ = TopicRequest::decode(text);
        let _ = words::is_one(text);
        if let Ok(mut uri) = format!("/ws/?{text}").parse() {
            OwnParameters::take(&mut uri);
        }
    }
}

pub(super) use greeting::Greeting;
use judged::{JudgedTokens, cut};
pub(super) use query::OwnParameters;
pub(super) use request::TopicRequest;
use request::Wish;

use crate::broker::{Broker, Heard, Joining, Since, Subscribing};
use crate::hub::{Grant, Item, Member, NotHeard};
use crate::ids::TopicName;
use crate::publication::Position;
use crate::secret::Secrets;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::token::{Token, TokenError, TokenReader};
use crate::unix_time;
use crate::words::{self, Word};

/// Bytes of tokens that one handshake may bring.
const QUERY: usize = 4 * 1024;
/// Bytes of tokens that one message may bring.
const MESSAGE: usize = 8 * 1024;
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
    /// is told first, and what the tokens of its handshake grant. Returns what is sent before that.
    pub(super) fn admit(
        &self,
        member: &Member,
        own: &OwnParameters,
        told: Option<Instant>,
    ) -> Greeting {
        let tokens = own.tokens.iter().map(|token| &**token);
        let mut judged = self.judge(member, tokens, QUERY);
        let heard = self.broker.join(&Joining {
            connection: member.id,
            since: own.since,
            told,
            grants: &judged.grants,
        });
        self.count(&heard, &mut judged);
        if own.since != Since::Unsaid {
            let outcome = if heard.recovery.recovered {
                "recovered"
            } else {
                "lost"
            };
            self.metrics
                .resumes
                .get_or_create(&OutcomeLabel { outcome })
                .inc();
        }
        Greeting {
            recovery: heard.recovery,
            items: judged.words(None).map(Item::word).collect(),
        }
    }

    /// Lets a new connection listen to what Django granted when it was asked at `asked`: all of it, or nothing. It gets
    /// what was published since.
    pub(super) fn grant(
        &self,
        member: &Member,
        topics: &[TopicName],
        asked: Instant,
    ) -> Result<Greeting, NotHeard> {
        let issued = unix_time::milliseconds(unix_time::now().saturating_sub(asked.elapsed()));
        let grant = |topic: &TopicName| Grant {
            topic: topic.clone(),
            issued,
        };
        let grants: Vec<_> = topics.iter().map(grant).collect();
        let heard = self.broker.join(&Joining {
            connection: member.id,
            since: Since::Unsaid,
            told: Some(asked),
            grants: &grants,
        });
        self.count(&heard, &mut JudgedTokens::default());
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
                let judged = self.judge(member, tokens, MESSAGE);
                let since = *since;
                self.subscribe(member, judged, Asked { since, id });
            }
            Wish::Stop(names) => self.unsubscribe(member, names, id),
            // No route asks a view yet.
            Wish::Path(path) => {
                self.count_one("not_allowed");
                say(Word::path_refused(cut(path), "not_allowed"));
            }
            Wish::Malformed => {
                self.count_one("malformed");
                say(Word::refused(&[], "malformed"));
            }
        }
    }

    fn subscribe(&self, member: &Member, mut judged: JudgedTokens, asked: Asked<'_>) {
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

    /// Judges tokens that came together, of which at most so many bytes are looked at.
    fn judge<'a>(
        &self,
        member: &Member,
        tokens: impl Iterator<Item = &'a str>,
        mut room: usize,
    ) -> JudgedTokens {
        let (user, now) = (&member.identity().user, unix_time::seconds());
        let mut judged = JudgedTokens::default();
        for text in tokens {
            let fits = text.len() <= room;
            room = if fits { room - text.len() } else { 0 };
            let Some(token) = Token::parse(text) else {
                judged.refuse("malformed", &[]);
                continue;
            };
            let granted = if fits {
                self.tokens.judge(&token, user.as_str(), now)
            } else {
                judged.refuse("too_many", token.topics());
                continue;
            };
            match granted {
                Ok(granted) => {
                    let issued = granted.issued;
                    let topics = granted.topics.into_iter();
                    judged
                        .grants
                        .extend(topics.map(|topic| Grant { topic, issued }));
                }
                Err(TokenError::NotAllowed) => judged.refuse("not_allowed", token.topics()),
                Err(TokenError::Expired) => judged.refuse("expired", token.topics()),
            }
        }
        judged
    }

    fn count(&self, heard: &Heard, judged: &mut JudgedTokens) {
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

    fn count_one(&self, outcome: &'static str) {
        self.metrics
            .subscriptions
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}

/// What is answered to a message.
#[derive(Clone, Copy)]
struct Asked<'a> {
    since: Since,
    id: Option<&'a RawValue>,
}
