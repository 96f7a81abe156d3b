//! The small values of a publication: ids, names, durations, decoded straight into their types.
//!
//! Used by `publication` and `revocation` as serde `deserialize_with` functions. `null` counts as absent, so
//! that a caller may send every member; a `to` without an audience is refused later.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use crate::config::duration;
use crate::ids::{ConnectionId, GroupName, SessionDigest, TopicName, UserId};
use crate::publication::is_event_name;

/// No id, name or path is longer, in bytes.
const LONGEST: usize = 255;

/// More users are several publications: one must not hold the broker for long.
const MOST_USERS: usize = 10_000;

/// A user id; integers are taken for their decimal form.
pub(super) fn user<'de, D: Deserializer<'de>>(d: D) -> Result<Option<UserId>, D::Error> {
    d.deserialize_any(TextVisitor {
        expecting: "a user id (text of 1 to 255 bytes, or an integer)",
        make: |text| bounded(text).map(UserId::new),
        integers: true,
    })
}

/// A list of user ids.
pub(super) fn users<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<UserId>>, D::Error> {
    d.deserialize_any(UsersVisitor)
}

/// A group's name.
pub(super) fn group<'de, D: Deserializer<'de>>(d: D) -> Result<Option<GroupName>, D::Error> {
    let make = |text: &str| bounded(text).map(GroupName::new);
    text(d, "a group name (text of 1 to 255 bytes)", make)
}

/// A topic's name.
pub(super) fn topic<'de, D: Deserializer<'de>>(d: D) -> Result<Option<TopicName>, D::Error> {
    text(
        d,
        "a topic's name, such as \"shop.order:17\" or \"news\"",
        TopicName::new,
    )
}

/// A session's digest.
pub(super) fn session<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SessionDigest>, D::Error> {
    let make = |text: &str| text.parse().ok();
    text(d, "a session digest (64 hexadecimal digits)", make)
}

/// A connection's id.
pub(super) fn connection<'de, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<ConnectionId>, D::Error> {
    let make = |text: &str| text.parse().ok();
    text(d, "a connection id (16 hexadecimal digits)", make)
}

/// Any short text.
pub(super) fn name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    let make = |text: &str| bounded(text).map(Box::from);
    text(d, "text of 1 to 255 bytes", make)
}

/// The path of a socket route.
pub(super) fn path<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    let make = |text: &str| bounded(text).filter(|t| t.starts_with('/')).map(Box::from);
    text(d, "the path of a socket route, such as \"/ws/\"", make)
}

/// `true`.
pub(super) fn only_true<'de, D: Deserializer<'de>>(d: D) -> Result<Option<()>, D::Error> {
    match Option::<bool>::deserialize(d)? {
        Some(false) => Err(D::Error::invalid_value(Unexpected::Bool(false), &"`true`")),
        Some(true) => Ok(Some(())),
        None => Ok(None),
    }
}

/// What an event of SSE is called.
pub(super) fn event<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Box<str>>, D::Error> {
    let make = |text: &str| is_event_name(text).then(|| text.into());
    text(
        d,
        "an event's name (1 to 100 bytes without control characters; `gatepost` and `close` are the \
         gateway's own)",
        make,
    )
}

/// Any JSON value, `null` included.
pub(super) fn raw<'de, D: Deserializer<'de>>(d: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}

/// `"60s"`, or a number of seconds.
pub(super) fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    d.deserialize_any(DurationVisitor)
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    make: fn(&str) -> Option<T>,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(TextVisitor {
        expecting,
        make,
        integers: false,
    })
}

fn bounded(text: &str) -> Option<&str> {
    (1..=LONGEST).contains(&text.len()).then_some(text)
}

struct TextVisitor<T> {
    expecting: &'static str,
    make: fn(&str) -> Option<T>,
    integers: bool,
}

impl<T> TextVisitor<T> {
    fn integer<E: Error>(
        self,
        number: impl fmt::Display,
        as_found: Unexpected<'_>,
    ) -> Result<Option<T>, E> {
        if !self.integers {
            return Err(E::invalid_type(as_found, &self.expecting));
        }
        Ok((self.make)(&number.to_string()))
    }
}

impl<T> Visitor<'_> for TextVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        match (self.make)(text) {
            Some(value) => Ok(Some(value)),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        self.integer(number, Unexpected::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        self.integer(number, Unexpected::Signed(number))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// One element of a list of user ids.
struct User(UserId);

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        user(deserializer)?
            .map(User)
            .ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &"a user id"))
    }
}

struct UsersVisitor;

impl<'de> Visitor<'de> for UsersVisitor {
    type Value = Option<Vec<UserId>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST_USERS} user ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut users = Vec::new();
        while let Some(User(user)) = list.next_element()? {
            if users.len() == MOST_USERS {
                return Err(A::Error::invalid_length(MOST_USERS + 1, &self));
            }
            users.push(user);
        }
        Ok(Some(users))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Option<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time above zero, such as \"60s\", or a number of seconds")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Self::Value, E> {
        above_zero(Some(Duration::from_secs(seconds)))
            .map(Some)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Self::Value, E> {
        Err(E::invalid_value(Unexpected::Signed(seconds), &self))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Self::Value, E> {
        above_zero(Duration::try_from_secs_f64(seconds).ok())
            .map(Some)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(seconds), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        above_zero(duration::parse(text))
            .map(Some)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn above_zero(duration: Option<Duration>) -> Option<Duration> {
    duration.filter(|duration| !duration.is_zero())
}
