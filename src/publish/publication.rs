//! One publication: from JSON text to [`Publication`].
//!
//! Used by `intake`. The surprise: the frame is copied out of the body, never sliced: a slice would keep
//! hyper's whole read buffer alive for as long as one slow client has not read a small frame.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::json::{self, DecodeError, Object, TextPosition};
use super::text;
use crate::ids::{ConnectionId, GroupName, SessionDigest, TopicName, UserId};
use crate::publication::{Audience, Content, Frame, Publication};
use crate::words;

/// Why a frame is refused that could be taken for the gateway's own.
const WORD: &str =
    "`frame` is an object with the member `gatepost`: only the gateway itself says such";

/// Why there is nothing to send.
const NEITHER: &str =
    "missing field `frame`, or `text` instead; only with `\"end\":true` neither is needed";
/// Why it is not known what to send.
const BOTH: &str = "`text` stands beside `frame`, expected one of them";
/// Why something is refused that is no text.
const NO_TEXT: &str = "`text` is not a JSON string";
/// The only thing that a JSON string can still have.
const HALF: &str = "`text` has half of a character (a lone surrogate)";

/// A publication, with the id that makes it idempotent.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) id: Option<Box<str>>,
    pub(super) publication: Publication,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicationText<'a> {
    to: Target,
    /// `null` is a frame, too.
    #[serde(default, borrow, deserialize_with = "text::raw")]
    frame: Option<&'a RawValue>,
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "text::event")]
    event: Option<Box<str>>,
    #[serde(default)]
    end: Option<bool>,
    #[serde(default, deserialize_with = "text::name")]
    id: Option<Box<str>>,
    #[serde(default, deserialize_with = "text::duration")]
    ttl: Option<Duration>,
    #[serde(default, deserialize_with = "text::name")]
    key: Option<Box<str>>,
    #[serde(default, deserialize_with = "text::connection")]
    exclude: Option<ConnectionId>,
    #[serde(default, deserialize_with = "text::path")]
    socket: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetText {
    #[serde(default, deserialize_with = "text::user")]
    user: Option<UserId>,
    #[serde(default, deserialize_with = "text::users")]
    users: Option<Vec<UserId>>,
    #[serde(default, deserialize_with = "text::group")]
    group: Option<GroupName>,
    #[serde(default, deserialize_with = "text::session")]
    session: Option<SessionDigest>,
    #[serde(default, deserialize_with = "text::connection")]
    connection: Option<ConnectionId>,
    #[serde(default, deserialize_with = "text::topic")]
    topic: Option<TopicName>,
    #[serde(default, deserialize_with = "text::only_true")]
    everyone: Option<()>,
}

/// Exactly one of the audiences.
struct Target(Vec<Audience>);

/// Decodes one publication, received at `now`, whose frame or text has at most `frame_size` bytes.
pub(super) fn decode(text: &[u8], frame_size: usize, now: Instant) -> Result<Decoded, DecodeError> {
    let (wire, whole) = json::decode::<PublicationText<'_>>(text)?;
    let end = wire.end.unwrap_or(false);
    // A caller that sends every member says null for a frame where it has a text.
    let frame = wire
        .frame
        .filter(|frame| wire.text.is_none() || !is_null(frame));
    let content = match (frame, wire.text) {
        (Some(frame), None) => Content::Frame(Part::of(whole, frame).frame(frame_size)?),
        (None, Some(text)) => Content::Text(Part::of(whole, text).text(frame_size)?),
        (None, None) if end => Content::Nothing,
        (None, None) => return Err(refused(whole, whole.trim_ascii_end().len() - 1, NEITHER)),
        (Some(_), Some(text)) => return Err(Part::of(whole, text).refused(0, BOTH)),
    };
    Ok(Decoded {
        id: wire.id,
        publication: Publication {
            to: wire.to.0,
            content,
            event: wire.event,
            end,
            key: wire.key,
            // A time beyond what the clock can tell is no limit.
            expires: wire.ttl.and_then(|ttl| now.checked_add(ttl)),
            exclude: wire.exclude,
            socket: wire.socket,
        },
    })
}

/// A value of a publication, and where in it.
struct Part<'a> {
    whole: &'a str,
    start: usize,
    json: &'a str,
}

impl<'a> Part<'a> {
    fn of(whole: &'a str, value: &'a RawValue) -> Self {
        let json = value.get();
        Self {
            whole,
            start: json.as_ptr().addr() - whole.as_ptr().addr(),
            json,
        }
    }

    fn frame(&self, most: usize) -> Result<Frame, DecodeError> {
        self.check_size(self.json.len(), most)?;
        if let Some(offset) = json::too_deep(self.json) {
            return Err(DecodeError::TooDeep(self.place(offset)));
        }
        if words::is_one(self.json) {
            return Err(self.refused(0, WORD));
        }
        Ok(Frame::new(self.json))
    }

    fn text(&self, most: usize) -> Result<Utf8Bytes, DecodeError> {
        if !self.json.starts_with('"') {
            return Err(self.refused(0, NO_TEXT));
        }
        // Its escapes were not looked at yet; it stands in one line.
        let text: String = serde_json::from_str(self.json)
            .map_err(|error| self.refused(error.column().saturating_sub(1), HALF))?;
        self.check_size(text.len(), most)?;
        Ok(text.into())
    }

    fn check_size(&self, size: usize, limit: usize) -> Result<(), DecodeError> {
        if size > limit {
            let place = self.place(0);
            return Err(DecodeError::FrameTooLarge { size, limit, place });
        }
        Ok(())
    }

    fn refused(&self, offset: usize, why: &str) -> DecodeError {
        refused(self.whole, self.start + offset, why)
    }

    fn place(&self, offset: usize) -> TextPosition {
        TextPosition::of(self.whole.as_bytes(), self.start + offset)
    }
}

fn refused(whole: &str, offset: usize, why: &str) -> DecodeError {
    DecodeError::Refused {
        message: why.to_owned(),
        place: TextPosition::of(whole.as_bytes(), offset),
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(text) = Object::<TargetText>::deserialize(deserializer)?;
        let named = [
            text.user.map(|user| vec![Audience::User(user)]),
            text.users.map(each_once),
            text.group.map(|group| vec![Audience::Group(group)]),
            text.session.map(|session| vec![Audience::Session(session)]),
            text.connection.map(|id| vec![Audience::Connection(id)]),
            text.topic.map(|topic| vec![Audience::Topic(topic)]),
            text.everyone.map(|()| vec![Audience::Everyone]),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(to), None) => Ok(Self(to)),
            (first, _) => Err(D::Error::custom(format_args!(
                "`to` names {}, expected exactly one of user, users, group, session, connection, \
                 topic, everyone",
                first.map_or("nobody", |_| "more than one audience")
            ))),
        }
    }
}

/// A user who is named twice gets the frame once.
fn each_once(mut users: Vec<UserId>) -> Vec<Audience> {
    users.sort_unstable();
    users.dedup();
    users.into_iter().map(Audience::User).collect()
}

#[cfg(test)]
mod tests;
