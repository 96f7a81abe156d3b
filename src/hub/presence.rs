//! Who is here: how many users and connections listen to a topic, at routes with `presence = true`.
//!
//! Kept by the registry as connections come and go, told by the broker. Nothing is ever counted through, so a topic
//! with ten thousand listeners costs one addition for each that comes; and who comes is told, also where another left
//! meanwhile and the numbers are what they were.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::member::Member;
use crate::ids::{ConnectionId, TopicName, UserId};

/// Who is present, by topic.
#[derive(Debug, Default)]
pub struct TopicPresence {
    table: Mutex<PresenceTable>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PresenceTable {
    topics: HashMap<TopicName, PresentListeners>,
    /// What somebody is still to be told of.
    changed: HashSet<TopicName>,
}

/// The listeners of one topic. There is at least one.
#[derive(Debug, Default)]
struct PresentListeners {
    /// How many connections each user has.
    users: HashMap<UserId, usize>,
    connections: usize,
    told: Option<PresenceCount>,
    /// Who came since that was told.
    newcomers: Vec<ConnectionId>,
}

/// How many are present. Visitors are connections only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceCount {
    /// Different users.
    pub users: usize,
    /// Their connections, and visitors'.
    pub connections: usize,
}

/// What is to be told, and which connections hear it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PresenceNews {
    pub(super) count: PresenceCount,
    /// These alone, since it is no news to the others.
    pub(super) only: Option<Vec<ConnectionId>>,
}

impl TopicPresence {
    /// Waits until there is something to tell.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The topics of which there is something to tell.
    pub fn take_changed(&self) -> HashSet<TopicName> {
        std::mem::take(&mut self.table.lock().changed)
    }

    /// A connection begins to listen.
    pub(super) fn join(&self, topic: &TopicName, member: &Member) {
        let mut table = self.table.lock();
        let present = table.topics.entry(topic.clone()).or_default();
        if !member.identity().is_visitor() {
            let user = member.identity().user.clone();
            *present.users.entry(user).or_default() += 1;
        }
        present.connections += 1;
        present.newcomers.push(member.id);
        table.changed.insert(topic.clone());
        drop(table);
        self.changed.notify_one();
    }

    /// A connection listens no more.
    pub(super) fn leave(&self, topic: &TopicName, member: &Member) {
        let mut table = self.table.lock();
        let Entry::Occupied(mut topic_entry) = table.topics.entry(topic.clone()) else {
            return;
        };
        let present = topic_entry.get_mut();
        if !member.identity().is_visitor()
            && let Entry::Occupied(mut user) = present.users.entry(member.identity().user.clone())
        {
            *user.get_mut() -= 1;
            if *user.get() == 0 {
                user.remove();
            }
        }
        present.connections -= 1;
        if present.connections == 0 {
            topic_entry.remove();
            table.changed.remove(topic);
        } else {
            table.changed.insert(topic.clone());
            drop(table);
            self.changed.notify_one();
        }
    }

    /// What there is to tell of a topic, which counts as told then.
    pub(super) fn take_news(&self, topic: &TopicName) -> Option<PresenceNews> {
        let mut table = self.table.lock();
        let present = table.topics.get_mut(topic)?;
        let count = PresenceCount {
            users: present.users.len(),
            connections: present.connections,
        };
        let newcomers = std::mem::take(&mut present.newcomers);
        let is_news = present.told.replace(count) != Some(count);
        let only = (!is_news).then_some(newcomers);
        let is_told = only.as_ref().is_none_or(|only| !only.is_empty());
        is_told.then_some(PresenceNews { count, only })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::identity::Identity;

    fn member(user: &str) -> Member {
        let identity = Identity {
            user: UserId::new(user),
            ..Identity::visitor()
        };
        let address = Ipv4Addr::LOCALHOST.into();
        Member::new(Arc::new(identity), "/ws/".into(), address)
    }

    fn news(presence: &TopicPresence) -> Option<(usize, usize, Option<usize>)> {
        let news = presence.take_news(&topic())?;
        let count = news.count;
        Some((
            count.users,
            count.connections,
            news.only.map(|only| only.len()),
        ))
    }

    fn topic() -> TopicName {
        TopicName::new("news").unwrap()
    }

    #[test]
    fn users_are_counted_once_and_visitors_as_connections_only() {
        let presence = TopicPresence::default();
        let members = ["1", "1", "2", ""].map(member);
        for member in &members {
            presence.join(&topic(), member);
        }
        assert_eq!(news(&presence), Some((2, 4, None)));
        assert_eq!(news(&presence), None);
        for (member, expected) in members.iter().zip([(2, 3), (1, 2), (0, 1)]) {
            presence.leave(&topic(), member);
            let (users, connections) = expected;
            assert_eq!(news(&presence), Some((users, connections, None)));
        }
        presence.leave(&topic(), &members[3]);
        assert_eq!(news(&presence), None);
        assert!(presence.table.lock().topics.is_empty());
        assert!(presence.take_changed().is_empty());
    }

    #[test]
    fn who_comes_is_told_even_where_the_numbers_are_what_they_were() {
        let presence = TopicPresence::default();
        let (first, second, other) = (member("1"), member("2"), member("2"));
        presence.join(&topic(), &first);
        presence.join(&topic(), &second);
        assert_eq!(news(&presence), Some((2, 2, None)));
        presence.leave(&topic(), &second);
        presence.join(&topic(), &other);
        assert_eq!(presence.take_changed(), [topic()].into());
        let told = presence.take_news(&topic()).unwrap();
        assert_eq!(told.only, Some(vec![other.id]));
    }
}
