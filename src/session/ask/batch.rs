//! What a batch asks, and what it says: the JSON of both.
//!
//! Used by `batch_view`. An item that was not reached, or that the project's code failed over, spoils nothing for
//! the others.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{TopicName, TraceParent, UserId, ViewTarget};
use crate::session::answer::Answer;
use crate::session::question::AuthSubject;

/// Sessions of one host that are asked for together, at least one: all of one kind.
#[derive(Debug)]
pub(in crate::session) struct Together<'a> {
    pub(in crate::session) asked: Vec<AskedTogether<'a>>,
    pub(in crate::session) kind: BatchKind,
    pub(in crate::session) frames: Frames,
}

/// A session in a batch, and the view that is asked about it, where it is one.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct AskedTogether<'a> {
    pub(in crate::session) about: &'a AuthSubject,
    pub(in crate::session) view: Option<&'a ViewTarget>,
    /// Where in a trace the handshake is that waits for it.
    pub(in crate::session) trace: Option<TraceParent>,
}

/// What a batch is about. A project may answer the one and not the other: its own way of finding a user may
/// need a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum BatchKind {
    /// Who sessions are.
    Sessions,
    /// What views say of them, and who may still listen by tokens.
    Views,
}

/// Whether the answers go to new connections, which get frames first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Frames {
    Wanted,
    Unwanted,
}

/// What a batch says of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::session) enum BatchItem {
    /// A judgement.
    Answer(Answer),
    /// Time was up before.
    Later,
    /// None: it must be asked for by itself.
    Alone,
}

/// Users who listen to a topic by tokens of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicQuestion {
    /// Which topic.
    #[serde(serialize_with = "as_text")]
    pub topic: TopicName,
    /// Who listens.
    #[serde(serialize_with = "as_texts")]
    pub users: Vec<UserId>,
}

/// Who of those may listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicAnswer {
    /// These.
    Users(Vec<UserId>),
    /// All: the project does not say.
    NotListed,
    /// Nobody knows just now.
    Unknown,
}

#[derive(Serialize)]
struct BatchQuestion<'a> {
    sessions: Vec<BatchEntry<'a>>,
    frames: bool,
    /// How long it is waited for, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [TopicQuestion]>,
}

/// The picked cookies, and the path that is asked about.
#[derive(Serialize)]
#[serde(untagged)]
enum BatchEntry<'a> {
    Session(&'a str),
    View { cookie: &'a str, path: &'a str },
}

#[derive(Deserialize)]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    sessions: Vec<&'a RawValue>,
    #[serde(default)]
    topics: Vec<TopicJson>,
}

/// What stands in the place of an auth answer.
#[derive(Deserialize)]
struct NoAnswerJson {
    #[serde(default)]
    later: bool,
    #[serde(default)]
    status: u16,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TopicJson {
    Users { users: Vec<String> },
    Listed { listed: bool },
    Other(serde::de::IgnoredAny),
}

impl BatchKind {
    /// Of views, or of sessions alone.
    pub(in crate::session) fn of_views(is_of_views: bool) -> Self {
        if is_of_views {
            Self::Views
        } else {
            Self::Sessions
        }
    }
}

impl Together<'_> {
    /// The request's body. `None` where a cookie is no text, which none ever is.
    pub(super) fn body(&self, timeout: f64) -> Option<Bytes> {
        let entries = self.asked.iter().map(|asked| {
            let cookie = std::str::from_utf8(asked.about.cookies.header().as_bytes()).ok()?;
            Some(match asked.view {
                None => BatchEntry::Session(cookie),
                Some(view) => BatchEntry::View {
                    cookie,
                    path: view.as_str(),
                },
            })
        });
        let body = serde_json::to_vec(&BatchQuestion {
            sessions: entries.collect::<Option<_>>()?,
            frames: self.frames == Frames::Wanted,
            timeout: (self.kind == BatchKind::Views).then_some(timeout),
            topics: None,
        });
        body.ok().map(Bytes::from)
    }
}

/// The body of a question about topics alone.
pub(super) fn topics_body(topics: &[TopicQuestion], timeout: f64) -> Bytes {
    let body = serde_json::to_vec(&BatchQuestion {
        sessions: Vec::new(),
        frames: false,
        timeout: Some(timeout),
        topics: Some(topics),
    });
    // Names and numbers always serialise.
    body.map(Bytes::from).unwrap_or_default()
}

/// What a body says of sessions, where it has as many answers as were asked for.
pub(in crate::session) fn answers(
    body: &[u8],
    kind: BatchKind,
    count: usize,
) -> Option<Vec<BatchItem>> {
    let said = read(body)?;
    let items = said.sessions.iter().map(|item| BatchItem::read(item, kind));
    let items: Vec<_> = items.collect();
    (items.len() == count).then_some(items)
}

/// What a body says of topics.
pub(in crate::session) fn topic_answers(body: &[u8], count: usize) -> Option<Vec<TopicAnswer>> {
    let answers = read(body)?.topics.into_iter().map(|said| match said {
        TopicJson::Users { users } => {
            TopicAnswer::Users(users.iter().map(|user| UserId::new(user)).collect())
        }
        TopicJson::Listed { listed: false } => TopicAnswer::NotListed,
        TopicJson::Listed { .. } | TopicJson::Other(_) => TopicAnswer::Unknown,
    });
    let answers: Vec<_> = answers.collect();
    (answers.len() == count).then_some(answers)
}

fn read(body: &[u8]) -> Option<BatchAnswer<'_>> {
    // serde takes a JSON array for a struct, too.
    let body = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"))?;
    serde_json::from_slice(body).ok()
}

impl BatchItem {
    fn read(item: &RawValue, kind: BatchKind) -> Self {
        let answer = Answer::decode(item.get().as_bytes());
        match (answer, kind) {
            (Ok(answer), BatchKind::Sessions) => return Self::Answer(answer),
            (Ok(answer), BatchKind::Views) => return Self::Answer(answer.of_view()),
            (Err(_), _) if !item.get().starts_with('{') => return Self::Alone,
            (Err(_), _) => {}
        }
        match serde_json::from_str(item.get()) {
            Ok(NoAnswerJson { later: true, .. }) => Self::Later,
            Ok(NoAnswerJson { status: 401, .. }) => Self::Answer(Answer::default()),
            Ok(NoAnswerJson {
                status: 403 | 404, ..
            }) => Self::Answer(Answer::refused()),
            // What else a view answers is diagnosed.
            _ => Self::Alone,
        }
    }
}

fn as_text<S: serde::Serializer>(name: &TopicName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn as_texts<S: serde::Serializer>(users: &[UserId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(users.iter().map(UserId::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_question_or_not_at_all() {
        let body = br#"{"sessions":[{"user":"1"},{"user":null},null,{"user":true}]}"#;
        let answers = answers(body, BatchKind::Sessions, 4).unwrap();
        let users = answers.iter().map(|item| match item {
            BatchItem::Answer(answer) => Some(answer.user.as_ref().map(ToString::to_string)),
            _ => None,
        });
        let users: Vec<_> = users.collect();
        assert_eq!(users, [Some(Some("1".to_owned())), Some(None), None, None]);
    }

    #[test]
    fn what_a_view_answers_is_a_judgement_or_it_is_asked_again() {
        let body = br#"{"sessions":[{"user":"1","topics":["news"]},{"status":401},{"status":403},
            {"status":404},{"status":302},{"later":true},null]}"#;
        let answers = answers(body, BatchKind::Views, 7).unwrap();
        let BatchItem::Answer(first) = &answers[0] else {
            panic!("{:?}", answers[0])
        };
        assert_eq!(first.listening.as_ref().unwrap().topics.len(), 1);
        let refused = BatchItem::Answer(Answer::refused());
        assert_eq!(answers[1], BatchItem::Answer(Answer::default()));
        assert_eq!(answers[2..4], [refused.clone(), refused]);
        let rest = [BatchItem::Alone, BatchItem::Later, BatchItem::Alone];
        assert_eq!(answers[4..], rest);
    }

    #[test]
    fn topics_are_asked_about_with_their_listeners() {
        let topics = [TopicQuestion {
            topic: TopicName::new("shop.order:17").unwrap(),
            users: vec![UserId::new("42"), UserId::new("43")],
        }];
        let body = topics_body(&topics, 10.0);
        assert_eq!(
            body,
            r#"{"sessions":[],"frames":false,"timeout":10.0,"topics":[{"topic":"shop.order:17","users":["42","43"]}]}"#
        );
        let said =
            br#"{"sessions":[],"topics":[{"users":["42"]},{"listed":false},{"later":true},null]}"#;
        let expected = [
            TopicAnswer::Users(vec![UserId::new("42")]),
            TopicAnswer::NotListed,
            TopicAnswer::Unknown,
            TopicAnswer::Unknown,
        ];
        assert_eq!(topic_answers(said, 4).unwrap(), expected);
        assert_eq!(topic_answers(said, 3), None);
    }

    #[test]
    fn too_few_or_too_many_answers_are_none() {
        for body in [
            r#"{"sessions":[{"user":"1"}]}"#,
            r#"{"sessions":[{"user":"1"},{"user":"2"},{"user":"3"}]}"#,
            r#"{"sessions":{}}"#,
            r#"{"user":"1"}"#,
            "[]",
            r#"[[{"user":"1"},{"user":"2"}]]"#,
            "",
        ] {
            let said = answers(body.as_bytes(), BatchKind::Sessions, 2);
            assert!(said.is_none(), "{body}");
        }
    }
}
