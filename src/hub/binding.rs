//! Who connections are, and how that changes while they live.
//!
//! Called by `session`. The surprise: the connections of a session share one [`Identity`], and are told
//! from others by that very object: two browsers may hold one session cookie, and be judged apart
//! because their other cookies differ.

use std::sync::Arc;
use std::time::Instant;

use super::presence::{PresenceNews, TopicPresence};
use super::superseding::Superseding;
use super::{
    Acquaintance, ConnectionSnapshot, Grant, Grants, HeardView, Hub, Item, Member, NotHeard,
    TopicRevocation,
};
use crate::close::CloseReason;
use crate::identity::Identity;
use crate::ids::{ConnectionId, SessionDigest, TopicName, UserId};
use crate::publication::Audience;
use crate::words::{Word, WordText};

impl Hub {
    /// Binds the connections of one identity to another, about which Django was asked at `asked`.
    /// Connections that are being registered meanwhile are the caller's business. What was revoked
    /// since `asked` is closed. Returns how many connections were bound.
    pub fn rebind(&self, from: &Arc<Identity>, to: &Arc<Identity>, asked: Instant) -> usize {
        let bound = self.bound_to(from);
        for member in &bound {
            self.registry.rebind(member, to);
        }
        // Looked up afterwards: a revocation either finds the connections or is found here.
        if let Some(reason) = self.revocations.of(to, asked) {
            for member in &bound {
                self.holds.close(member, &reason);
            }
        }
        bound.len()
    }

    /// Closes one connection. False where it is closing already.
    pub(super) fn close_one(&self, member: &Arc<Member>, reason: &CloseReason) -> bool {
        self.holds.close(member, reason)
    }

    /// Has a connection go by the answer of its own path's view, also where that grants nothing.
    pub fn watch(&self, connection: ConnectionId, heard: &HeardView) {
        if let Some(member) = self.registry.find(connection) {
            self.registry.watch(&member, heard);
        }
    }

    /// Gives the connections of one identity another end. Nothing new is said of who they are, and they can
    /// be found all the while, so a revocation has closed them, or will.
    pub fn prolong(&self, from: &Arc<Identity>, to: &Arc<Identity>) {
        for member in &self.bound_to(from) {
            self.registry.rebind(member, to);
        }
    }

    /// Closes the connections of one identity. Returns how many it closed.
    pub fn close_bound(&self, identity: &Arc<Identity>, reason: &CloseReason) -> usize {
        let bound = self.bound_to(identity);
        let closed = bound.iter().map(|member| self.holds.close(member, reason));
        closed.filter(|closed| *closed).count()
    }

    /// Makes the handshakes of an audience that asked Django before `at` ask again; closes nothing.
    pub fn outdate(&self, audience: &Audience, at: Instant) {
        self.revocations.outdate(audience, at);
    }

    /// Refuses a session for a minute because another took its place; closes nothing. Handshakes that
    /// are under way are told to come back, as are those of the next 3 s, which the browser may have
    /// sent before it had the new cookie; later ones are told to log in.
    pub fn supersede(&self, session: SessionDigest, of: Acquaintance, ended: &CloseReason) {
        self.revocations.supersede(
            session,
            of,
            Superseding {
                at: Instant::now(),
                ended,
            },
        );
    }

    /// Refuses a session for a minute that has ended, has no connections here, and of which nothing is
    /// known; a client can end as many of these as it likes.
    pub fn refuse_stranger(&self, session: SessionDigest, ended: &CloseReason) {
        let audience = Audience::Session(session);
        self.revocations
            .record(&audience, ended, Acquaintance::Stranger);
    }

    /// Takes back that a session has ended: Django has just handed it out.
    pub fn lift(&self, session: SessionDigest) {
        self.revocations.lift(session);
    }

    /// The reason to refuse handshakes with this session: it ended within the last minute.
    pub fn ended(&self, session: SessionDigest) -> Option<CloseReason> {
        self.revocations.ended(session)
    }

    /// A connection.
    pub fn member(&self, connection: ConnectionId) -> Option<Arc<Member>> {
        self.registry.find(connection)
    }

    /// Lets a connection hear a topic that was granted to its user, until it leaves. The caller sees to it
    /// that nothing is delivered or revoked meanwhile. Gives the publication behind which it hears it already, if it
    /// does.
    pub fn subscribe(
        &self,
        connection: ConnectionId,
        grant: &Grant,
    ) -> Result<Option<u64>, NotHeard> {
        let member = self.registry.find(connection).ok_or(NotHeard::Gone)?;
        let user = &member.identity().user;
        let is_denied = self.denied.cover(&grant.topic, user, &grant.by);
        if is_denied || self.revoked_topics.cover(&grant.topic, user, &grant.by) {
            return Err(NotHeard::Revoked);
        }
        let most = self.limits.get().topics_per_connection;
        self.registry.subscribe(&member, grant, most)
    }

    /// Says that a connection misses nothing of a topic that was published behind this number.
    pub fn complete(&self, member: &Member, topic: &TopicName, since: u64) {
        member.standing().topics.complete(topic, since);
    }

    /// Whether one of these topics was revoked from a user, or from all, since a view was asked about them.
    pub fn revoked_since(&self, topics: &[TopicName], user: &UserId, asked: Instant) -> bool {
        let mut topics = topics.iter();
        topics.any(|topic| self.revoked_topics.cover_asked(topic, user, asked))
    }

    /// The grants that connections go by.
    pub fn grants(&self) -> Grants<'_> {
        Grants::of(self)
    }

    /// Has a revocation survive this process; before it is carried out.
    pub fn keep(&self, revocation: &TopicRevocation) {
        self.revoked_topics.keep(revocation);
    }

    /// Writes the file of those once more, where another process has written its own.
    pub fn write_topics_again(&self) {
        self.revoked_topics.write_again();
    }

    /// Takes a topic away from a user's connections, or from all, which are told; refuses tokens that were
    /// issued before. Returns how many connections heard it.
    pub fn revoke_topic(&self, revocation: &TopicRevocation) -> usize {
        self.revoked_topics.record(revocation);
        let TopicRevocation { topic, user, .. } = revocation;
        let audience = match user {
            Some(user) => Audience::User(user.clone()),
            None => Audience::Topic(topic.clone()),
        };
        let mut members = Vec::new();
        self.registry
            .each(&audience, |member| members.push(Arc::clone(member)));
        members.retain(|member| self.registry.lose(member, topic));
        let word = Item::word(Word::unsubscribed(&[topic.as_str()], "revoked").text());
        for member in &members {
            member.outbox.push(&word, self.limits.get().outbox);
            if member.is_handed_over && member.topics().is_empty() {
                member.outbox.close(&CloseReason::NotAllowed);
            }
        }
        members.len()
    }

    /// Ends what Django handed over to an audience: its clients ask Django themselves. Returns how many there were.
    pub fn end_handed_over(&self, audience: &Audience) -> usize {
        let mut ended = 0;
        self.registry.each(audience, |member| {
            ended +=
                usize::from(member.is_handed_over && member.outbox.close(&CloseReason::AskAgain));
        });
        ended
    }

    /// Gives one connection a word of the gateway's own, in order with its frames.
    pub fn say(&self, connection: ConnectionId, word: WordText) {
        if let Some(member) = self.registry.find(connection) {
            member
                .outbox
                .push(&Item::word(word), self.limits.get().outbox);
        }
    }

    /// Lets a connection hear a topic no more, whatever granted it. Returns whether it did.
    pub fn unsubscribe(&self, connection: ConnectionId, topic: &TopicName) -> bool {
        let member = self.registry.find(connection);
        member.is_some_and(|member| self.registry.unsubscribe(&member, topic))
    }

    /// Gives every connection a word of the gateway's own, visitors too. Returns how many took it.
    pub fn say_everyone(&self, word: WordText) -> usize {
        let (word, mut count) = (Item::word(word), 0);
        self.registry.each(&Audience::Everyone, |member| {
            count += usize::from(
                member
                    .outbox
                    .push(&word, self.limits.get().outbox)
                    .is_some(),
            );
        });
        count
    }

    /// Who is present.
    pub fn presence(&self) -> &TopicPresence {
        &self.registry.presence
    }

    /// Tells those who are present at a topic how many they are, where that is news to them. Returns to how many
    /// it was. The caller sees to it that nothing is delivered meanwhile.
    pub fn say_presence(&self, topic: &TopicName) -> usize {
        let Some(PresenceNews { count, only }) = self.presence().take_news(topic) else {
            return 0;
        };
        let (word, mut told) = (
            Item::word(Word::presence(topic, count.users, count.connections).text()),
            0,
        );
        let mut tell = |member: &Arc<Member>| {
            let is_told = member.is_present
                && member
                    .outbox
                    .push(&word, self.limits.get().outbox)
                    .is_some();
            told += usize::from(is_told);
        };
        match only {
            None => self.registry.each(&Audience::Topic(topic.clone()), tell),
            Some(only) => {
                let members = only.into_iter().filter_map(|id| self.registry.find(id));
                let members = members.filter(|member| member.topics().contains(topic));
                members.for_each(|member| tell(&member));
            }
        }
        told
    }

    /// How many connections a user has.
    pub fn online(&self, user: &UserId) -> usize {
        self.registry.count(&Audience::User(user.clone()))
    }

    /// How many connections an audience has.
    pub fn count(&self, audience: &Audience) -> usize {
        match audience {
            Audience::Everyone => self.len(),
            Audience::Connection(id) => usize::from(self.registry.find(*id).is_some()),
            _ => self.registry.count(audience),
        }
    }

    /// How many connections listen to a topic.
    pub fn listeners(&self, topic: &TopicName) -> usize {
        self.registry.count(&Audience::Topic(topic.clone()))
    }

    /// The connections of an audience, at most `most`.
    pub fn connections(&self, audience: &Audience, most: usize) -> Vec<ConnectionSnapshot> {
        let mut found = Vec::new();
        self.registry.each(audience, |member| {
            if found.len() < most {
                let (sent, queued) = member.outbox.counts();
                found.push(ConnectionSnapshot {
                    member: Arc::clone(member),
                    sent,
                    queued,
                });
            }
        });
        found
    }

    pub(super) fn bound_to(&self, identity: &Arc<Identity>) -> Vec<Arc<Member>> {
        let mut bound = Vec::new();
        if let Some(session) = identity.sessions.first() {
            self.registry.each(&Audience::Session(*session), |member| {
                if member.is_bound_to(identity) {
                    bound.push(Arc::clone(member));
                }
            });
        }
        bound
    }
}
