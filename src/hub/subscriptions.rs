//! What one connection listens to, and by which grants.
//!
//! Kept with the connection, under the lock of its standing in the indexes. A topic is heard while one of its
//! grants holds; but one that was revoked stays here as lost, since nothing may grant it to this connection
//! again. It keeps its place among those that the connection may have, so that a client cannot grow the list.

use std::time::{Instant, SystemTime};

use crate::ids::{TopicName, ViewTarget};

/// Django's statement that a user may listen to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be heard.
    pub topic: TopicName,
    /// Where it says so.
    pub by: Granter,
}

/// Where Django says that somebody may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granter {
    /// In a token.
    Token {
        /// When it was issued, by Django's clock in unix milliseconds.
        issued: u64,
        /// Whether it is anybody's, and not its user's alone.
        is_public: bool,
    },
    /// In the answer of a view.
    View(HeardView),
    /// In a response that it handed over: for that stream alone, and not asked about again.
    Stream {
        /// Which view did.
        view: ViewTarget,
        /// When it was asked.
        asked: Instant,
    },
}

/// A view by whose answer a connection listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardView {
    /// Which.
    pub view: ViewTarget,
    /// When it was asked for what is relied upon.
    pub asked: Instant,
    /// Until when it lets the connection listen, where it says.
    pub expires: Option<SystemTime>,
    /// Whether it is the one of the connection's own path, which decides about the connection too.
    pub is_own: bool,
}

/// Why a connection does not get to hear a topic that was granted to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeard {
    /// The connection has left.
    Gone,
    /// The topic was revoked since it was granted, or from this connection.
    Revoked,
    /// The connection listens to as many topics, or by as many views, as it may.
    TooMany,
}

/// The topics of one connection. Allocates nothing while there are none.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    topics: Vec<Subscription>,
    /// The views that grant something of these; and the connection's own one.
    views: Vec<HeardView>,
}

#[derive(Debug)]
struct Subscription {
    topic: TopicName,
    /// Nothing is missing that was published behind this number.
    since: u64,
    is_lost: bool,
    /// Whether a token of its user's grants it.
    by_token: bool,
    /// Whether something does that is not asked about again: a token of anybody's, or the stream itself.
    by_lasting_grant: bool,
    by_views: Vec<ViewTarget>,
}

impl Subscriptions {
    /// Adds a grant, where `most` topics are allowed, and as many views. Gives since when the topic is heard
    /// already, if it is.
    pub(super) fn add(&mut self, grant: &Grant, most: usize) -> Result<Option<u64>, NotHeard> {
        let known = self.find(&grant.topic);
        match known {
            Some(known) if self.topics[known].is_lost => return Err(NotHeard::Revoked),
            None if self.topics.len() >= most => return Err(NotHeard::TooMany),
            _ => {}
        }
        if let Granter::View(heard) = &grant.by
            && !self.watch(heard, most)
        {
            return Err(NotHeard::TooMany);
        }
        let place = known.unwrap_or_else(|| {
            self.topics.push(Subscription::of(&grant.topic));
            self.topics.len() - 1
        });
        self.topics[place].add(&grant.by);
        Ok(known.map(|known| self.topics[known].since))
    }

    /// Says that nothing is missing of a topic that was published behind this number.
    pub(super) fn complete(&mut self, topic: &TopicName, since: u64) {
        if let Some(known) = self.find(topic) {
            let one = &mut self.topics[known];
            one.since = one.since.min(since);
        }
    }

    /// Goes by the answer of a view from now on. False where there are as many as allowed.
    pub(super) fn watch(&mut self, heard: &HeardView, most: usize) -> bool {
        let is_full = self.views.len() >= most;
        match self.view_mut(&heard.view) {
            Some(known) => {
                let is_own = known.is_own || heard.is_own;
                if known.asked <= heard.asked {
                    *known = heard.clone();
                }
                known.is_own = is_own;
            }
            None if is_full => return false,
            None => self.views.push(heard.clone()),
        }
        true
    }

    /// Takes a topic out, whatever granted it. Whether it was heard.
    pub(super) fn remove(&mut self, topic: &TopicName) -> bool {
        let known = self.find(topic).filter(|it| !self.topics[*it].is_lost);
        // A client may name thousands that it does not hear: only what is found is worth a look at the views.
        known.is_some_and(|known| {
            self.topics.swap_remove(known);
            self.forget_idle_views();
            true
        })
    }

    /// Takes a topic out permanently. Returns whether it was heard.
    pub(super) fn lose(&mut self, topic: &TopicName) -> bool {
        let known = self.find(topic);
        let heard = known.is_some_and(|known| {
            let one = &mut self.topics[known];
            one.by_views = Vec::new();
            !std::mem::replace(&mut one.is_lost, true)
        });
        self.forget_idle_views();
        heard
    }

    /// Goes no longer by what a view granted, but for these topics. Gives what is heard no more.
    pub(super) fn end_view(&mut self, view: &ViewTarget, kept: &[TopicName]) -> Vec<TopicName> {
        let ended = self.end(|one| {
            if !kept.contains(&one.topic) {
                one.by_views.retain(|other| other != view);
            }
        });
        self.forget_idle_views();
        ended
    }

    /// Goes no longer by what users' own tokens granted of a topic. Whether it is heard no more.
    pub(super) fn end_token(&mut self, topic: &TopicName) -> bool {
        let ended = self.end(|one| one.by_token &= one.topic != *topic);
        !ended.is_empty()
    }

    /// Takes all out that are heard.
    pub(super) fn take(&mut self) -> impl Iterator<Item = TopicName> + use<> {
        self.views = Vec::new();
        let all = std::mem::take(&mut self.topics).into_iter();
        all.filter(|one| !one.is_lost).map(|one| one.topic)
    }

    /// What is heard.
    pub(super) fn heard(&self) -> impl Iterator<Item = &TopicName> {
        let heard = self.topics.iter().filter(|one| !one.is_lost);
        heard.map(|one| &one.topic)
    }

    /// What is heard by tokens of its user's own.
    pub(super) fn by_tokens(&self) -> impl Iterator<Item = &TopicName> {
        let heard = self
            .topics
            .iter()
            .filter(|one| !one.is_lost && one.by_token);
        heard.map(|one| &one.topic)
    }

    /// The views that are gone by.
    pub(super) fn views(&self) -> &[HeardView] {
        &self.views
    }

    /// A view that is gone by.
    pub(super) fn view_mut(&mut self, view: &ViewTarget) -> Option<&mut HeardView> {
        self.views.iter_mut().find(|one| one.view == *view)
    }

    /// Takes grants away. Gives the topics that none is left of.
    fn end(&mut self, mut take: impl FnMut(&mut Subscription)) -> Vec<TopicName> {
        let mut ended = Vec::new();
        self.topics.retain_mut(|one| {
            take(one);
            let stays = one.is_lost || one.is_granted();
            if !stays {
                ended.push(one.topic.clone());
            }
            stays
        });
        ended
    }

    /// Nobody has to ask a view any more that grants nothing.
    fn forget_idle_views(&mut self) {
        let topics = &self.topics;
        self.views.retain(|heard| {
            let grants = |one: &Subscription| one.by_views.contains(&heard.view);
            heard.is_own || topics.iter().any(grants)
        });
    }

    /// A connection has few, so they need no index.
    fn find(&self, topic: &TopicName) -> Option<usize> {
        self.topics.iter().position(|one| one.topic == *topic)
    }
}

impl Subscription {
    fn of(topic: &TopicName) -> Self {
        Self {
            topic: topic.clone(),
            since: u64::MAX,
            is_lost: false,
            by_token: false,
            by_lasting_grant: false,
            by_views: Vec::new(),
        }
    }

    fn add(&mut self, by: &Granter) {
        match by {
            Granter::Token {
                is_public: false, ..
            } => self.by_token = true,
            Granter::Token { .. } | Granter::Stream { .. } => self.by_lasting_grant = true,
            Granter::View(heard) if self.by_views.contains(&heard.view) => {}
            Granter::View(heard) => self.by_views.push(heard.view.clone()),
        }
    }

    fn is_granted(&self) -> bool {
        self.by_token || self.by_lasting_grant || !self.by_views.is_empty()
    }
}
