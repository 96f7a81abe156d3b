//! `GET /v1/connections?user=…`: who is connected, for operators and for Django's admin.
//!
//! Used by `api`. The surprise: `since` is unix seconds, as every time of the contract between gateway
//! and Django is.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::error::{PublishError, to_json};
use crate::hub::ConnectionSnapshot;
use crate::identity::Identity;
use crate::ids::{GroupName, UserId};

#[derive(Serialize)]
struct Connections<'a> {
    connections: Vec<ConnectionText<'a>>,
}

#[derive(Serialize)]
struct ConnectionText<'a> {
    connection: String,
    user: &'a str,
    session: Option<String>,
    groups: Vec<&'a str>,
    socket: &'a str,
    transport: &'static str,
    address: String,
    since: u64,
    sent: u64,
    queued: usize,
}

/// The one user that a query names.
pub(super) fn user(query: Option<&str>) -> Result<UserId, PublishError> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let mut user = None;
    for pair in pairs {
        match pair.split_once('=') {
            Some(("user", text)) if user.is_none() => user = Some(decoded(text)?),
            Some(("user", _)) => return Err(PublishError::Query("`user` is given more than once")),
            _ => return Err(PublishError::Query("the query has one parameter, `user`")),
        }
    }
    match user {
        Some(text) if (1..=255).contains(&text.len()) => Ok(UserId::new(&text)),
        Some(_) => Err(PublishError::Query("`user` is text of 1 to 255 bytes")),
        None => Err(PublishError::Query(
            "which user? Ask for /v1/connections?user=42",
        )),
    }
}

/// The answer, oldest connection first.
pub(super) fn to_text(mut snapshots: Vec<ConnectionSnapshot>) -> Vec<u8> {
    snapshots.sort_by_key(|snapshot| snapshot.member.since);
    let identities: Vec<_> = snapshots.iter().map(|one| one.member.identity()).collect();
    let pairs = snapshots.iter().zip(&identities);
    to_json(&Connections {
        connections: pairs.map(|(snapshot, who)| one(snapshot, who)).collect(),
    })
}

fn one<'a>(snapshot: &'a ConnectionSnapshot, identity: &'a Identity) -> ConnectionText<'a> {
    let member = &snapshot.member;
    let since = member.since.duration_since(UNIX_EPOCH);
    ConnectionText {
        connection: member.id.to_string(),
        user: identity.user.as_str(),
        session: identity.sessions.first().map(ToString::to_string),
        groups: identity.groups.iter().map(GroupName::as_str).collect(),
        socket: &member.socket,
        transport: "websocket",
        address: member.address.to_string(),
        since: since.map_or(0, |since| since.as_secs()),
        sent: snapshot.sent,
        queued: snapshot.queued,
    }
}

fn decoded(text: &str) -> Result<String, PublishError> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| PublishError::Query("`user` is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_user() {
        let named = |query| user(Some(query)).map(|user| user.to_string()).ok();
        assert_eq!(named("user=42").as_deref(), Some("42"));
        assert_eq!(named("user=a%20b%2Bc+d").as_deref(), Some("a b+c d"));
        for query in [
            "",
            "user=",
            "user",
            "user=1&user=2",
            "users=1",
            "user=%ff",
            "user=1&x=2",
        ] {
            assert_eq!(named(query), None, "{query}");
        }
        assert!(user(None).is_err());
    }
}
