//! What one connection listens to.
//!
//! Kept with the connection, under the lock of its standing in the indexes. The surprise: a topic that was
//! revoked stays here as lost, since nothing may grant it to this connection again; it keeps its place
//! among those that the connection may have, so that a client cannot grow the list.

use crate::ids::TopicName;

/// Django's statement that a user may listen to a topic, as a token brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be heard.
    pub topic: TopicName,
    /// When it was issued, by Django's clock in unix milliseconds.
    pub issued: u64,
}

/// Why a connection does not get to hear a topic that was granted to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeard {
    /// The connection has left.
    Gone,
    /// The topic was revoked since it was granted, or from this connection.
    Revoked,
    /// The connection listens to as many topics as it may.
    TooMany,
}

/// The topics of one connection. Allocates nothing while there are none.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Vec<Subscription>);

#[derive(Debug)]
struct Subscription {
    topic: TopicName,
    /// Nothing is missing that was published behind this number.
    since: u64,
    is_lost: bool,
}

impl Subscriptions {
    /// Adds a topic, where `most` are allowed. Returns since when it is heard already, if it is.
    pub(super) fn add(&mut self, topic: &TopicName, most: usize) -> Result<Option<u64>, NotHeard> {
        match self.find(topic) {
            Some(known) if self.0[known].is_lost => Err(NotHeard::Revoked),
            Some(known) => Ok(Some(self.0[known].since)),
            None if self.0.len() >= most => Err(NotHeard::TooMany),
            None => {
                self.0.push(Subscription {
                    topic: topic.clone(),
                    since: u64::MAX,
                    is_lost: false,
                });
                Ok(None)
            }
        }
    }

    /// Says that nothing is missing of a topic that was published behind this number.
    pub(super) fn complete(&mut self, topic: &TopicName, since: u64) {
        if let Some(known) = self.find(topic) {
            let one = &mut self.0[known];
            one.since = one.since.min(since);
        }
    }

    /// Takes a topic out. Whether it was heard.
    pub(super) fn remove(&mut self, topic: &TopicName) -> bool {
        let known = self.find(topic).filter(|known| !self.0[*known].is_lost);
        known.is_some_and(|known| {
            self.0.swap_remove(known);
            true
        })
    }

    /// Takes a topic out permanently. Returns whether it was heard.
    pub(super) fn lose(&mut self, topic: &TopicName) -> bool {
        let known = self.find(topic);
        known.is_some_and(|known| !std::mem::replace(&mut self.0[known].is_lost, true))
    }

    /// Takes all out that are heard.
    pub(super) fn take(&mut self) -> impl Iterator<Item = TopicName> + use<> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.filter(|one| !one.is_lost).map(|one| one.topic)
    }

    /// What is heard.
    pub(super) fn heard(&self) -> impl Iterator<Item = &TopicName> {
        self.0
            .iter()
            .filter(|one| !one.is_lost)
            .map(|one| &one.topic)
    }

    /// A connection has few, so they need no index.
    fn find(&self, topic: &TopicName) -> Option<usize> {
        self.0.iter().position(|one| one.topic == *topic)
    }
}
