//! What waits for connections: made once, and shared by the outboxes of all receivers.
//!
//! The broker makes what was published, words are made where they are said; `socket` writes both. A form other
//! than Django's own bytes is written by the first connection that sends it, and kept here for all others that
//! wait; where none wants it, it costs nothing.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::ids::{ConnectionId, TopicName};
use crate::publication::{Audience, Content, Position, Publication};
use crate::words::WordText;

/// What waits.
#[derive(Debug)]
pub struct Item {
    said: Said,
    position: Option<Position>,
    topic: Option<TopicName>,
    event: Option<Box<str>>,
    end: bool,
    key: Option<Box<str>>,
    expires: Option<Instant>,
    exclude: Option<ConnectionId>,
    socket: Option<Box<str>>,
    forms: [OnceLock<Utf8Bytes>; ItemForm::COUNT],
}

/// Who says what.
#[derive(Clone, Debug)]
pub enum Said {
    /// Django.
    Content(Content),
    /// The gateway itself.
    Word(WordText),
}

/// In which form an item is sent, where that is not what Django wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemForm {
    /// An object with the content among its members.
    Envelope,
    /// An event (SSE).
    Event,
    /// A line of JSON.
    Line,
}

impl ItemForm {
    const COUNT: usize = 3;
}

impl Item {
    /// What was published, at this position.
    pub fn published(publication: &Publication, position: Position) -> Arc<Self> {
        let topic = publication.to.iter().find_map(|audience| match audience {
            Audience::Topic(topic) => Some(topic.clone()),
            _ => None,
        });
        Arc::new(Self {
            said: Said::Content(publication.content.clone()),
            position: Some(position),
            topic,
            event: publication.event.clone(),
            end: publication.end,
            key: publication.key.clone(),
            expires: publication.expires,
            exclude: publication.exclude,
            socket: publication.socket.clone(),
            forms: Default::default(),
        })
    }

    /// The same without the forms that were made of it, each about as large again: for a history, which counts
    /// what was published alone, and for one client that gets it from there.
    pub fn anew(&self) -> Arc<Self> {
        Arc::new(Self {
            said: self.said.clone(),
            position: self.position,
            topic: self.topic.clone(),
            event: self.event.clone(),
            end: self.end,
            key: self.key.clone(),
            expires: self.expires,
            exclude: self.exclude,
            socket: self.socket.clone(),
            forms: Default::default(),
        })
    }

    /// What was published to these audiences; a word was not.
    pub fn publication(&self, to: Vec<Audience>) -> Publication {
        Publication {
            to,
            content: match &self.said {
                Said::Content(content) => content.clone(),
                Said::Word(_) => Content::Nothing,
            },
            event: self.event.clone(),
            end: self.end,
            key: self.key.clone(),
            expires: self.expires,
            exclude: self.exclude,
            socket: self.socket.clone(),
        }
    }

    /// What Django gives to one new connection alone.
    pub fn first(content: Content, event: Option<Box<str>>) -> Arc<Self> {
        Self::alone(Said::Content(content), event)
    }

    /// A word of the gateway's own, which nothing takes the place of.
    pub fn word(word: WordText) -> Arc<Self> {
        Self::alone(Said::Word(word), None)
    }

    fn alone(said: Said, event: Option<Box<str>>) -> Arc<Self> {
        Arc::new(Self {
            said,
            position: None,
            topic: None,
            event,
            end: false,
            key: None,
            expires: None,
            exclude: None,
            socket: None,
            forms: Default::default(),
        })
    }

    /// Who says what.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Where in the history it is; `None` where it is in none.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// By which topic it was addressed.
    pub fn topic(&self) -> Option<&TopicName> {
        self.topic.as_ref()
    }

    /// What clients of SSE know it by.
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Whether the streams that hear it end behind it.
    pub fn ends(&self) -> bool {
        self.end
    }

    /// What it counts for where it waits, in bytes.
    pub fn size(&self) -> usize {
        match &self.said {
            Said::Content(content) => content.size(),
            Said::Word(word) => word.size(),
        }
    }

    /// The text, as who says it wrote it; `None` where there is nothing but an end.
    pub fn text(&self) -> Option<Utf8Bytes> {
        match &self.said {
            Said::Content(Content::Frame(frame)) => Some(frame.text()),
            Said::Content(Content::Text(text)) => Some(text.clone()),
            Said::Content(Content::Nothing) => None,
            Said::Word(word) => Some(word.plain()),
        }
    }

    /// Whether nobody wants it any more.
    pub fn is_expired(&self) -> bool {
        self.expires
            .is_some_and(|expires| expires <= Instant::now())
    }

    /// The item in a form, which `write` makes where nobody has yet.
    pub fn in_form(&self, form: ItemForm, write: impl FnOnce(&Self) -> Utf8Bytes) -> Utf8Bytes {
        self.forms[form as usize]
            .get_or_init(|| write(self))
            .clone()
    }

    /// Whether it is for a connection of its audience, at this socket route.
    pub fn is_for(&self, connection: ConnectionId, socket: &str) -> bool {
        let only = self.socket.as_deref();
        self.exclude != Some(connection) && only.is_none_or(|only| only == socket)
    }

    /// Which older item it takes the place of.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether a client that gets this does not miss an older one.
    pub fn replaces(&self, older: &Self) -> bool {
        self.key.is_some() && self.key == older.key && self.socket == older.socket
    }
}
