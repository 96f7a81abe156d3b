//! One publication: from JSON text to [`Publication`].
//!
//! Used by `api`. The surprise: the frame is copied out of the body, never sliced: a slice would keep
//! hyper's whole read buffer alive for as long as one slow client has not read a small frame.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use super::json::{self, DecodeError, Object, TextPosition};
use super::text;
use crate::ids::{ConnectionId, GroupName, SessionDigest, TopicName, UserId};
use crate::publication::{Audience, Frame, Publication};
use crate::words;

/// Why a frame is refused that could be taken for the gateway's own.
const WORD: &str =
    "`frame` is an object with the member `gatepost`: only the gateway itself says such";

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
    #[serde(borrow)]
    frame: &'a RawValue,
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

/// Decodes one publication, received at `now`, whose frame has at most `frame_size` bytes.
pub(super) fn decode(text: &[u8], frame_size: usize, now: Instant) -> Result<Decoded, DecodeError> {
    let (wire, text) = json::decode::<PublicationText<'_>>(text)?;
    let frame = wire.frame.get();
    let place = |offset: usize| {
        let start = frame.as_ptr().addr() - text.as_ptr().addr();
        TextPosition::of(text.as_bytes(), start + offset)
    };
    if frame.len() > frame_size {
        return Err(DecodeError::FrameTooLarge {
            size: frame.len(),
            limit: frame_size,
            place: place(0),
        });
    }
    if let Some(offset) = json::too_deep(frame) {
        return Err(DecodeError::TooDeep(place(offset)));
    }
    if words::is_one(frame) {
        return Err(DecodeError::Refused {
            message: WORD.to_owned(),
            place: place(0),
        });
    }
    Ok(Decoded {
        id: wire.id,
        publication: Publication {
            to: wire.to.0,
            frame: Frame::new(frame),
            key: wire.key,
            // A time beyond what the clock can tell is no limit.
            expires: wire.ttl.and_then(|ttl| now.checked_add(ttl)),
            exclude: wire.exclude,
            socket: wire.socket,
        },
    })
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
