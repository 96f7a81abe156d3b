//! What the queries of GET calls name.
//!
//! Used by `api`. A `+` is a space, as in a form, since that is how Python writes queries.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::PublishError;
use crate::ids::{TopicName, UserId};
use crate::publication::Audience;

/// The most users and topics that one call may name.
const MOST: usize = 1_000;

/// The users and topics that a query names, in its order.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) users: Vec<UserId>,
    pub(super) topics: Vec<TopicName>,
}

/// The users and topics that a query names; it may name nothing else.
pub(super) fn named(query: Option<&str>) -> Result<Named, PublishError> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let mut named = Named::default();
    for pair in pairs {
        if named.users.len() + named.topics.len() == MOST {
            return Err(PublishError::Query(
                "at most 1000 users and topics: ask several times",
            ));
        }
        match pair.split_once('=') {
            Some(("user", text)) => named.users.push(user(text)?),
            Some(("topic", text)) => named.topics.push(topic(text)?),
            _ => {
                return Err(PublishError::Query(
                    "the query has the parameters `user` and `topic`",
                ));
            }
        }
    }
    Ok(named)
}

/// The one user or topic that a query names; everyone where it names none.
pub(super) fn audience(query: Option<&str>) -> Result<Audience, PublishError> {
    let Named { users, topics } = named(query)?;
    let users = users.into_iter().map(Audience::User);
    let mut all = users.chain(topics.into_iter().map(Audience::Topic));
    match (all.next(), all.next()) {
        (first, None) => Ok(first.unwrap_or(Audience::Everyone)),
        _ => Err(PublishError::Query(
            "one `user` or one `topic`: more than one is given",
        )),
    }
}

fn user(text: &str) -> Result<UserId, PublishError> {
    let text = decode(text).ok_or(PublishError::Query("`user` is not UTF-8"))?;
    if (1..=255).contains(&text.len()) {
        Ok(UserId::new(&text))
    } else {
        Err(PublishError::Query("`user` is text of 1 to 255 bytes"))
    }
}

fn topic(text: &str) -> Result<TopicName, PublishError> {
    let name = decode(text).and_then(|text| TopicName::new(&text));
    name.ok_or(PublishError::Query(
        "`topic` is a topic's name, such as shop.order:17 or news",
    ))
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_user_or_a_topic_or_everyone() {
        let named = |query| audience(query).ok();
        let user = |id| Some(Audience::User(UserId::new(id)));
        let topic = |name| TopicName::new(name).map(Audience::Topic);
        assert_eq!(named(Some("user=42")), user("42"));
        assert_eq!(named(Some("user=a%20b%2Bc+d")), user("a b+c d"));
        assert_eq!(
            named(Some("topic=shop.order%3Aa%252Fb")),
            topic("shop.order:a%2Fb")
        );
        assert_eq!(named(None), Some(Audience::Everyone));
        assert_eq!(named(Some("")), Some(Audience::Everyone));
        for query in [
            "user=",
            "user",
            "user=1&user=2",
            "user=1&topic=news",
            "users=1",
            "user=%ff",
            "user=1&x=2",
            "topic=two+words",
            "topic=",
        ] {
            assert!(audience(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn a_query_names_many_but_not_any_number() {
        let count = |users: usize| {
            let query = format!("topic=news&{}", "user=1&".repeat(users));
            named(Some(&query)).map(|named| named.users.len())
        };
        assert_eq!(count(999).ok(), Some(999));
        assert!(count(1000).is_err());
    }
}
