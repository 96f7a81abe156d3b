//! What one request to listen came to, before it is acted upon.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::hub::{Grant, Granter, Member};
use crate::ids::TopicName;
use crate::token::{Token, TokenError, TokenReader};
use crate::unix_time;
use crate::words::{Word, WordText};

/// What is echoed of a name that was asked for in vain, in bytes.
const LONGEST_ECHO: usize = 200;

/// What is granted, and what was asked for in vain, by reason.
#[derive(Debug, Default)]
pub(super) struct JudgedGrants {
    pub(super) grants: Vec<Grant>,
    /// Names in a set: a client may name thousands.
    pub(super) refused: BTreeMap<&'static str, BTreeSet<String>>,
}

impl JudgedGrants {
    /// Judges tokens that came together, of which at most so many bytes are looked at.
    pub(super) fn of<'a>(
        reader: &TokenReader,
        member: &Member,
        tokens: impl Iterator<Item = &'a str>,
        mut room: usize,
    ) -> Self {
        let (user, now) = (&member.identity().user, unix_time::seconds());
        let mut judged = Self::default();
        for text in tokens {
            let fits = text.len() <= room;
            room = if fits { room - text.len() } else { 0 };
            let Some(token) = Token::parse(text) else {
                judged.refuse("malformed", &[]);
                continue;
            };
            let granted = if fits {
                reader.judge(&token, user.as_str(), now)
            } else {
                judged.refuse("too_many", token.topics());
                continue;
            };
            match granted {
                Ok(granted) => {
                    let (issued, is_public) = (granted.issued, granted.is_public);
                    let by = Granter::Token { issued, is_public };
                    let topics = granted.topics.into_iter();
                    let granted = topics.map(|topic| Grant {
                        topic,
                        by: by.clone(),
                    });
                    judged.grants.extend(granted);
                }
                Err(TokenError::NotAllowed) => judged.refuse("not_allowed", token.topics()),
                Err(TokenError::Expired) => judged.refuse("expired", token.topics()),
            }
        }
        judged
    }

    /// Refuses these topics.
    pub(super) fn refuse(&mut self, reason: &'static str, topics: &[TopicName]) {
        let names = self.refused.entry(reason).or_default();
        names.extend(topics.iter().map(|topic| cut(topic.as_str()).to_owned()));
    }

    /// One word for each reason.
    pub(super) fn words<'a>(
        &'a self,
        id: Option<&'a RawValue>,
    ) -> impl Iterator<Item = WordText> + 'a {
        self.refused.iter().map(move |(reason, names)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            Word::refused(&names, reason).to(id).text()
        })
    }
}

/// As much of a name that was asked for in vain as is echoed.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_ECHO)]
}
