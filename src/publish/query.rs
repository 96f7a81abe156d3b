//! What the queries of GET calls name.
//!
//! Used by `api`. The surprise: a `+` is a space, as in a form, since that is how Python writes queries.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::PublishError;
use crate::ids::UserId;

/// The most users that one call may name.
const MOST_USERS: usize = 1_000;

/// The users that a query names, in its order; it may name nothing else.
pub(super) fn users(query: Option<&str>) -> Result<Vec<UserId>, PublishError> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let mut users = Vec::new();
    for pair in pairs {
        let Some(("user", text)) = pair.split_once('=') else {
            return Err(PublishError::Query("the query has one parameter, `user`"));
        };
        if users.len() == MOST_USERS {
            return Err(PublishError::Query("at most 1000 users: ask several times"));
        }
        users.push(user(text)?);
    }
    Ok(users)
}

/// The one user that a query names, if any.
pub(super) fn user_if_any(query: Option<&str>) -> Result<Option<UserId>, PublishError> {
    let mut users = users(query)?;
    match users.len() {
        0 | 1 => Ok(users.pop()),
        _ => Err(PublishError::Query("`user` is given more than once")),
    }
}

fn user(text: &str) -> Result<UserId, PublishError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map(Cow::into_owned);
    let text = decoded.map_err(|_| PublishError::Query("`user` is not UTF-8"))?;
    if (1..=255).contains(&text.len()) {
        Ok(UserId::new(&text))
    } else {
        Err(PublishError::Query("`user` is text of 1 to 255 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_user_or_nobody() {
        let named = |query| {
            user_if_any(query)
                .ok()
                .flatten()
                .map(|user| user.to_string())
        };
        assert_eq!(named(Some("user=42")).as_deref(), Some("42"));
        assert_eq!(named(Some("user=a%20b%2Bc+d")).as_deref(), Some("a b+c d"));
        assert!(matches!(user_if_any(None), Ok(None)));
        assert!(matches!(user_if_any(Some("")), Ok(None)));
        for query in [
            "user=",
            "user",
            "user=1&user=2",
            "users=1",
            "user=%ff",
            "user=1&x=2",
        ] {
            assert!(user_if_any(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn a_query_names_many_users_but_not_any_number() {
        let users = |count: usize| users(Some(&"user=1&".repeat(count))).map(|users| users.len());
        assert_eq!(users(1000).ok(), Some(1000));
        assert!(users(1001).is_err());
    }
}
