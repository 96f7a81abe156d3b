//! `GET /v1/connections` and `/v1/online`: who is connected, for operators and for Django.
//!
//! Used by `api`. `since` is unix seconds, as every time of the contract between gateway and Django
//! is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::to_json;
use super::query::Named;
use crate::hub::{ConnectionSnapshot, Hub};
use crate::identity::Identity;
use crate::ids::GroupName;
use crate::publication::Audience;
use crate::unix_time;

/// The most connections that one answer tells of.
const MOST: usize = 1_000;

#[derive(Serialize)]
struct Connections<'a> {
    connections: Vec<ConnectionText<'a>>,
    /// How many there are, where these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
}

#[derive(Serialize)]
struct Online<'a> {
    online: BTreeMap<&'a str, usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    topics: BTreeMap<&'a str, usize>,
}

#[derive(Serialize)]
struct ConnectionText<'a> {
    connection: String,
    /// `None` is a visitor.
    user: Option<&'a str>,
    session: Option<String>,
    groups: Vec<&'a str>,
    topics: Vec<String>,
    socket: &'a str,
    transport: &'static str,
    address: String,
    since: u64,
    sent: u64,
    queued: usize,
}

/// The connections of a user or of a topic, or some of all, the oldest first.
pub(super) fn connections(hub: &Hub, whose: &Audience) -> Vec<u8> {
    let count = hub.count(whose);
    let mut snapshots = hub.connections(whose, MOST);
    snapshots.sort_by_key(|snapshot| snapshot.member.since);
    let identities: Vec<_> = snapshots.iter().map(|one| one.member.identity()).collect();
    let pairs = snapshots.iter().zip(&identities);
    to_json(&Connections {
        connections: pairs.map(|(snapshot, who)| one(snapshot, who)).collect(),
        total: (count > identities.len()).then_some(count),
    })
}

/// How many connections each of these users has, and how many listen to each of these topics.
pub(super) fn online(hub: &Hub, named: &Named) -> Vec<u8> {
    let users = named.users.iter();
    let topics = named.topics.iter();
    to_json(&Online {
        online: users.map(|one| (one.as_str(), hub.online(one))).collect(),
        topics: topics
            .map(|one| (one.as_str(), hub.listeners(one)))
            .collect(),
    })
}

fn one<'a>(snapshot: &'a ConnectionSnapshot, identity: &'a Identity) -> ConnectionText<'a> {
    let member = &snapshot.member;
    ConnectionText {
        connection: member.id.to_string(),
        user: (!identity.is_visitor()).then(|| identity.user.as_str()),
        session: identity.sessions.first().map(ToString::to_string),
        groups: identity.groups.iter().map(GroupName::as_str).collect(),
        topics: member.topics().iter().map(ToString::to_string).collect(),
        socket: &member.socket,
        transport: member.transport.name(),
        address: member.address.to_string(),
        since: unix_time::of(member.since).as_secs(),
        sent: snapshot.sent,
        queued: snapshot.queued,
    }
}
