//! Lets connections listen to topics by tokens, and tells them what came of it.
//!
//! The handshake brings tokens of its query, the connection those of messages. The surprise: tokens are judged
//! before, but a topic is heard and its answer queued while nothing is published (see the broker), so that
//! no frame comes before the word that announces it, and none after the one that ends it.

mod query;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(super) mod fuzzing {
    use super::{QueryTokens, TopicRequest};
    use crate::token::Token;
    use crate::words;

    /// Reads a text in every way in which a client's is read.
    pub fn read(text: &str) {
        let _ = Token::parse(text).map(|token| token.topics().len());
        let _ = TopicRequest::decode(text);
        let _ = words::is_one(text);
        if let Ok(mut uri) = format!("/ws/?{text}").parse() {
            QueryTokens::take(&mut uri);
        }
    }
}

pub(super) use query::QueryTokens;
pub(super) use request::TopicRequest;
use request::{Since, Wish};

use crate::broker::{Broker, Heard};
use crate::hub::{Grant, Item, Member, NotHeard};
use crate::ids::TopicName;
use crate::publication::Position;
use crate::secret::Secrets;
use crate::telemetry::metrics::{Metrics, OutcomeLabel};
use crate::token::{Token, TokenError, TokenReader};
use crate::unix_time;
use crate::words::{self, Word, WordText};

/// Bytes of tokens that one handshake may bring.
const QUERY: usize = 4 * 1024;
/// Bytes of tokens that one message may bring.
const MESSAGE: usize = 8 * 1024;
/// What is echoed of a name that was asked for in vain, in bytes.
const LONGEST_ECHO: usize = 200;

/// Lets connections listen.
#[derive(Debug)]
pub struct TopicDesk {
    broker: Arc<Broker>,
    tokens: TokenReader,
    metrics: Arc<Metrics>,
}

/// What tokens grant, and what was asked for in vain, by reason.
#[derive(Debug, Default)]
struct JudgedTokens {
    grants: Vec<Grant>,
    refused: BTreeMap<&'static str, Vec<String>>,
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

    /// Lets a new connection listen by the tokens of its handshake. Gives what is to be said first.
    pub(super) fn admit(&self, member: &Member, tokens: &QueryTokens) -> Vec<Arc<Item>> {
        if tokens.0.is_empty() {
            return Vec::new();
        }
        let tokens = tokens.0.iter().map(|token| &**token);
        let mut judged = self.judge(member, tokens, QUERY);
        let heard = self.broker.subscribe(member.id, &judged.grants, |_| None);
        self.count(&heard, &mut judged);
        judged.words(None).map(Item::word).collect()
    }

    /// Lets a new connection listen to what Django granted when it was asked at `asked`: all of it, or nothing.
    pub(super) fn grant(
        &self,
        member: &Member,
        topics: &[TopicName],
        asked: Instant,
    ) -> Result<(), NotHeard> {
        let issued = unix_time::milliseconds(unix_time::now().saturating_sub(asked.elapsed()));
        let grant = |topic: &TopicName| Grant {
            topic: topic.clone(),
            issued,
        };
        let grants: Vec<_> = topics.iter().map(grant).collect();
        let heard = self.broker.subscribe(member.id, &grants, |_| None);
        self.count(&heard, &mut JudgedTokens::default());
        heard
            .refused
            .first()
            .map_or(Ok(()), |refused| Err(refused.why))
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
        let heard = self.broker.subscribe(member.id, &judged.grants, |heard| {
            let recovered = match asked.since {
                Since::Unsaid => true,
                // There is no history yet: nothing is missing only where nothing was published.
                Since::Position(since) => since == Some(heard.position),
            };
            let names = words::texts(&heard.topics);
            let word = Word::subscribed(&names, heard.position, recovered);
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

impl JudgedTokens {
    fn refuse(&mut self, reason: &'static str, topics: &[TopicName]) {
        let names = self.refused.entry(reason).or_default();
        for topic in topics {
            let name = cut(topic.as_str());
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }

    /// One word for each reason.
    fn words<'a>(&'a self, id: Option<&'a RawValue>) -> impl Iterator<Item = WordText> + 'a {
        self.refused.iter().map(move |(reason, names)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            Word::refused(&names, reason).to(id).text()
        })
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_ECHO)]
}
