//! What one request to listen came to, before it is acted upon.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::hub::Grant;
use crate::ids::TopicName;
use crate::words::{Word, WordText};

/// What is echoed of a name that was asked for in vain, in bytes.
const LONGEST_ECHO: usize = 200;

/// What tokens grant, and what was asked for in vain, by reason.
#[derive(Debug, Default)]
pub(super) struct JudgedTokens {
    pub(super) grants: Vec<Grant>,
    pub(super) refused: BTreeMap<&'static str, Vec<String>>,
}

impl JudgedTokens {
    pub(super) fn refuse(&mut self, reason: &'static str, topics: &[TopicName]) {
        let names = self.refused.entry(reason).or_default();
        for topic in topics {
            let name = cut(topic.as_str());
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
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
