//! Connections that begin to listen: they get what they missed before anything new.
//!
//! Called by `socket` for a connection that has just been registered, and for one that asks for topics. All of it
//! happens under the broker's lock, so nothing can be published between what was missed and what is new.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kept::KnownUpTo;
use super::resume::{Hearing, Missed, begin_behind};
use super::{Broker, BrokerState, Heard, Joining, Recovery, RefusedTopic, Since, Subscribing};
use crate::hub::{Grant, Granter, Member, NotHeard};
use crate::identity::Identity;
use crate::ids::ConnectionId;
use crate::publication::Position;
use crate::unix_time;
use crate::words::WordText;

/// The clocks of Django and the gateway may differ by so much: a topic is not heard from longer before its token was
/// issued.
const SPARE: Duration = Duration::from_mins(1);

impl Broker {
    /// Gives a new connection what its client missed, then what is published from here on. Nothing may have been
    /// sent to it yet.
    pub fn join(&self, joining: &Joining<'_>) -> Heard {
        let mut state = self.state.lock();
        let Some(member) = self.hub.member(joining.connection) else {
            return self.gone(&state, joining.grants);
        };
        let (mut heard, topics) = self.listen(&state, &member, joining.grants);
        let wants_missed = joining.since != Since::Unsaid || joining.told.is_some();
        let own = wants_missed.then(|| Hearing::of(&member));
        let hearings: Vec<_> = own.into_iter().flatten().chain(topics).collect();
        let mut missed_since = |known| Missed::after(known, &hearings, &mut state.history, &member);
        let mut missed = None;
        if let Since::Position(position) = joining.since {
            let known = position.and_then(|named| known(named, heard.recovery.position));
            missed = known.and_then(&mut missed_since);
            heard.recovery.recovered = missed.as_ref().is_some_and(|missed| !missed.is_cut);
        }
        if missed.is_none()
            && let Some(told) = joining.told
        {
            missed = missed_since(KnownUpTo::Moment(told));
            heard.recovery.recovered &= missed.as_ref().is_some_and(|missed| !missed.is_cut);
        }
        let is_had = missed.is_some();
        // What was published since the connection was registered waits there already.
        let waiting = member.outbox.take_published();
        let items = missed.unwrap_or_default().in_order(waiting);
        let begin = begin_behind(&items).unwrap_or(state.sequence);
        heard.recovery.position.sequence = begin;
        let complete = if is_had { begin } else { state.sequence };
        for topic in &heard.topics {
            self.hub.complete(&member, topic, complete);
        }
        member.outbox.replay(items);
        heard
    }

    /// Gives a connection what it missed of topics that were granted to it, then what is published to them from here
    /// on. `answer` makes the word that it gets before any frame of these topics.
    pub fn subscribe(
        &self,
        connection: ConnectionId,
        asked: Subscribing<'_>,
        answer: impl FnOnce(&Heard) -> Option<WordText>,
    ) -> Heard {
        // Nothing is published or revoked meanwhile.
        let mut state = self.state.lock();
        let Some(member) = self.hub.member(connection) else {
            return self.gone(&state, asked.grants);
        };
        let (mut heard, topics) = self.listen(&state, &member, asked.grants);
        let here = heard.recovery.position;
        let mut items = Vec::new();
        if let Since::Position(position) = asked.since {
            let known = position.and_then(|named| known(named, here));
            let missed =
                known.and_then(|known| Missed::after(known, &topics, &mut state.history, &member));
            heard.recovery.recovered = missed.as_ref().is_some_and(|missed| !missed.is_cut);
            items = missed.unwrap_or_default().in_order(Vec::new());
        }
        let begin = begin_behind(&items).unwrap_or(here.sequence);
        heard.recovery.position.sequence = begin;
        for topic in &heard.topics {
            self.hub.complete(&member, topic, begin);
        }
        if let Some(word) = answer(&heard) {
            self.hub.say(connection, word);
        }
        member.outbox.replay(items);
        heard
    }

    fn gone(&self, state: &BrokerState, grants: &[Grant]) -> Heard {
        let refused = grants.iter().map(|grant| RefusedTopic {
            topic: grant.topic.clone(),
            why: NotHeard::Gone,
        });
        Heard {
            topics: Vec::new(),
            refused: refused.collect(),
            recovery: Recovery {
                position: self.here(state),
                recovered: true,
            },
        }
    }

    /// The moment before which a grant lets nobody hear.
    fn granted(&self, who: &Identity, grant: &Grant) -> Option<Instant> {
        let known = self.hub.grants().since(who, grant);
        match &grant.by {
            Granter::Token { issued, .. } => since_issued(*issued).max(known),
            Granter::View(_) | Granter::Stream { .. } => known,
        }
    }

    fn listen(
        &self,
        state: &BrokerState,
        member: &Arc<Member>,
        grants: &[Grant],
    ) -> (Heard, Vec<Hearing>) {
        let mut heard = Heard {
            topics: Vec::with_capacity(grants.len()),
            refused: Vec::new(),
            recovery: Recovery {
                position: self.here(state),
                recovered: true,
            },
        };
        let who = member.identity();
        let mut hearings = Vec::<Hearing>::with_capacity(grants.len());
        for grant in grants {
            let topic = grant.topic.clone();
            match self.hub.subscribe(member.id, grant) {
                Ok(until) => {
                    let cut = state.history.cut_of(&topic, &who.user);
                    let granted = self.granted(&who, grant);
                    let hearing = Hearing::by(&topic, granted).behind(cut).until(until);
                    if heard.topics.contains(&topic) {
                        Hearing::add(&mut hearings, &hearing);
                    } else {
                        hearings.push(hearing);
                        heard.topics.push(topic);
                    }
                }
                Err(why) => heard.refused.push(RefusedTopic { topic, why }),
            }
        }
        (heard, hearings)
    }
}

/// The moment before which a token lets nobody hear, that was issued at `issued` by Django's clock.
fn since_issued(issued: u64) -> Option<Instant> {
    unix_time::instant(issued)?.checked_sub(SPARE)
}

/// What a client has that names a position; `None` where that is no position of this history.
fn known(named: Position, here: Position) -> Option<KnownUpTo> {
    let is_ours = named.generation == here.generation && named.sequence <= here.sequence;
    is_ours.then_some(KnownUpTo::Sequence(named.sequence))
}
