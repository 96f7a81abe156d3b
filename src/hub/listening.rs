//! What connections listen to, in the indexes.
//!
//! Used by the hub. A topic leaves the index under the lock of its shard, so a word sent afterwards
//! that it is heard no more comes behind its last frame.

use std::sync::Arc;
use std::time::SystemTime;

use super::member::Member;
use super::registry::{Registry, ends};
use super::subscriptions::{Grant, HeardView, NotHeard, Subscriptions};
use crate::ids::{TopicName, ViewTarget};
use crate::publication::Audience;

impl Registry {
    /// Lets a connection hear a topic, one of `most`. Gives since which publication it does already, if it does.
    pub(super) fn subscribe(
        &self,
        member: &Arc<Member>,
        grant: &Grant,
        most: usize,
    ) -> Result<Option<u64>, NotHeard> {
        let mut standing = member.standing();
        let place = standing.place.ok_or(NotHeard::Gone)?;
        let since = self.change(member, &mut standing.topics, |topics| {
            topics.add(grant, most)
        })?;
        if since.is_none() {
            self.add(Audience::Topic(grant.topic.clone()), place, member);
        }
        Ok(since)
    }

    /// Has a connection go by the answer of its own path's view, also where that grants nothing.
    pub(super) fn watch(&self, member: &Member, heard: &HeardView) {
        let mut standing = member.standing();
        if standing.place.is_some() {
            self.change(member, &mut standing.topics, |topics| {
                topics.watch(heard, usize::MAX)
            });
        }
    }

    /// Lets a connection hear a topic no more. Whether it did.
    pub(super) fn unsubscribe(&self, member: &Member, topic: &TopicName) -> bool {
        let topic = topic.clone();
        let ended = self.end(member, |topics| {
            topics.remove(&topic).then_some(topic).into_iter().collect()
        });
        !ended.is_empty()
    }

    /// Takes a topic away from a connection for good. Whether it heard it.
    pub(super) fn lose(&self, member: &Member, topic: &TopicName) -> bool {
        let topic = topic.clone();
        let ended = self.end(member, |topics| {
            topics.lose(&topic).then_some(topic).into_iter().collect()
        });
        !ended.is_empty()
    }

    /// Takes away what users' own tokens granted of a topic. Whether the connection heard it by nothing else.
    pub(super) fn end_token(&self, member: &Member, topic: &TopicName) -> bool {
        let topic = topic.clone();
        let ended = self.end(member, |topics| {
            let ended = topics.end_token(&topic);
            ended.then_some(topic).into_iter().collect()
        });
        !ended.is_empty()
    }

    /// Acts upon what a view says now: that these topics may be heard until then; none of them: nothing any
    /// more. Gives what is heard no more, or `None` where the connection does not go by this view, or
    /// by a later answer of it.
    pub(super) fn settle_view(
        &self,
        member: &Member,
        said: &HeardView,
        kept: &[TopicName],
    ) -> Option<Vec<TopicName>> {
        let is_known = {
            let standing = member.standing();
            let mut views = standing.topics.views().iter();
            views.any(|one| one.view == said.view && one.asked <= said.asked)
        };
        is_known.then(|| {
            self.end(member, |topics| {
                if let Some(known) = topics.view_mut(&said.view) {
                    (known.asked, known.expires) = (said.asked, said.expires);
                }
                topics.end_view(&said.view, kept)
            })
        })
    }

    /// Puts off the end of what a view granted to a connection.
    pub(super) fn postpone(&self, member: &Member, view: &ViewTarget, until: SystemTime) {
        let mut standing = member.standing();
        self.change(member, &mut standing.topics, |topics| {
            if let Some(known) = topics.view_mut(view) {
                known.expires = known.expires.map(|_| until);
            }
        });
    }

    /// Takes topics out of a connection and the index.
    fn end(
        &self,
        member: &Member,
        take: impl FnOnce(&mut Subscriptions) -> Vec<TopicName>,
    ) -> Vec<TopicName> {
        let mut standing = member.standing();
        let ended = self.change(member, &mut standing.topics, take);
        if let Some(place) = standing.place {
            for topic in &ended {
                self.take_out(&Audience::Topic(topic.clone()), place);
            }
        }
        ended
    }

    /// Changes what a connection listens to, and keeps the index of ends.
    fn change<T>(
        &self,
        member: &Member,
        topics: &mut Subscriptions,
        change: impl FnOnce(&mut Subscriptions) -> T,
    ) -> T {
        let before = ends(member, topics);
        let changed = change(topics);
        self.ends.replace(&before, ends(member, topics));
        changed
    }
}
