//! What Django says of a stream that it hands over: the JSON of its answer, decoded once.
//!
//! Used by `hand_over` when the MAC holds. A description is an auth answer as well, so who a stream is for is read
//! where all such answers are.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::StreamForm;
use crate::ids::{SessionDigest, TopicName};
use crate::publication::{Content, Frame, is_event_name};
use crate::session::{Answer, AnswerError};
use crate::unix_time;
use crate::words;

/// A description may have so many bytes.
pub(super) const LARGEST: usize = 1024 * 1024;

/// What Django describes.
#[derive(Debug)]
pub(super) struct Description {
    /// Whose it is; without a user a visitor's.
    pub(super) who: Answer,
    /// The session that the browser has after this response.
    pub(super) session: Option<SessionDigest>,
    /// What it hears.
    pub(super) topics: Vec<TopicName>,
    /// Until when, where the view says so.
    pub(super) until: Option<SystemTime>,
    pub(super) form: StreamForm,
    /// What is sent first.
    pub(super) first: Vec<FirstItem>,
}

/// Something to send first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FirstItem {
    pub(super) content: Content,
    pub(super) event: Option<Box<str>>,
}

/// Why bytes describe no stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum DescriptionError {
    #[error("it is not the JSON that `gatepost.stream` writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Who(#[from] AnswerError),
    #[error("`{0}` is no topic's name")]
    Topic(String),
    #[error("`topics_expire` is not a time")]
    Expiry,
    #[error("`session` is not a session digest")]
    Session,
    #[error("a thing of `first` has not just one of `frame` and `text`")]
    First,
    #[error(
        "a frame of `first` is an object with the member `gatepost`, which only the gateway says"
    )]
    Word,
    #[error(
        "an event's name of `first` is longer than 100 bytes, has control characters, or is the gateway's own"
    )]
    Event,
}

#[derive(Deserialize)]
struct DescriptionText<'a> {
    session: Option<String>,
    topics: Vec<String>,
    topics_expire: Option<f64>,
    form: FormText,
    #[serde(borrow, default)]
    first: Vec<FirstText<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormText {
    Sse,
    Ndjson,
}

#[derive(Deserialize)]
struct FirstText<'a> {
    #[serde(borrow)]
    frame: Option<&'a RawValue>,
    text: Option<String>,
    event: Option<Box<str>>,
}

impl Description {
    /// Reads a description. The caller bounds its size.
    pub(super) fn decode(body: &[u8]) -> Result<Self, DescriptionError> {
        let who = Answer::decode(body)?;
        let text: DescriptionText<'_> = serde_json::from_slice(body)?;
        let topics = text.topics.into_iter().map(|name| {
            let topic = TopicName::new(&name);
            topic.ok_or(DescriptionError::Topic(name))
        });
        let session = text.session.map(|digest| digest.parse()).transpose();
        Ok(Self {
            who,
            session: session.map_err(|_| DescriptionError::Session)?,
            topics: topics.collect::<Result<_, _>>()?,
            until: text.topics_expire.map(moment).transpose()?,
            form: match text.form {
                FormText::Sse => StreamForm::Events,
                FormText::Ndjson => StreamForm::Lines,
            },
            first: text
                .first
                .into_iter()
                .map(FirstText::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Description {
    /// When it is over by itself. Where there is a session, it ends with that.
    pub(super) fn end(&self) -> Option<SystemTime> {
        let of_user = self.who.expires_at.filter(|_| self.session.is_none());
        self.until.into_iter().chain(of_user).min()
    }
}

impl FirstText<'_> {
    fn read(self) -> Result<FirstItem, DescriptionError> {
        let content = match (self.frame, self.text) {
            (Some(frame), None) if words::is_one(frame.get()) => {
                return Err(DescriptionError::Word);
            }
            (Some(frame), None) => Content::Frame(Frame::new(frame.get())),
            (None, Some(text)) => Content::Text(text.into()),
            _ => return Err(DescriptionError::First),
        };
        if self
            .event
            .as_deref()
            .is_some_and(|name| !is_event_name(name))
        {
            return Err(DescriptionError::Event);
        }
        Ok(FirstItem {
            content,
            event: self.event,
        })
    }
}

fn moment(seconds: f64) -> Result<SystemTime, DescriptionError> {
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| DescriptionError::Expiry)?;
    unix_time::moment(since).ok_or(DescriptionError::Expiry)
}
