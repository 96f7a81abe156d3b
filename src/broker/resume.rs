//! What a connection missed while its client was away.
//!
//! Used by the broker, under its lock. Resuming is all or nothing. Where the history has lost something of one
//! audience, the client has to fetch its data anew, so nothing old is sent to it. What is withheld because the user
//! was not allowed to hear it is another matter: the client is told as well, and gets the rest.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::history::History;
use super::kept::{HistoryMark, KnownUpTo};
use crate::hub::{Item, Member};
use crate::ids::TopicName;
use crate::publication::Audience;

/// An audience that a connection belongs to, and which of its publications it must not get.
#[derive(Debug)]
pub(super) struct Hearing {
    audience: Audience,
    /// Nothing up to this one: the topic was taken from the user then.
    cut: Option<HistoryMark>,
    /// Nothing that was published before.
    granted: Option<Instant>,
    /// Nothing after this number: the connection got that already.
    until: u64,
}

/// What was missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    items: Vec<Arc<Item>>,
    /// Whether something was withheld.
    pub(super) is_cut: bool,
}

impl Hearing {
    /// The audiences that a connection belongs to by its identity.
    pub(super) fn of(member: &Member) -> impl Iterator<Item = Self> {
        member.audiences().into_iter().map(|audience| Self {
            audience,
            cut: None,
            granted: None,
            until: u64::MAX,
        })
    }

    /// A topic that was granted, from that moment on.
    pub(super) fn by(topic: &TopicName, granted: Option<Instant>) -> Self {
        Self {
            audience: Audience::Topic(topic.clone()),
            cut: None,
            granted,
            until: u64::MAX,
        }
    }

    /// It was taken from the user then.
    pub(super) fn behind(self, cut: Option<HistoryMark>) -> Self {
        Self { cut, ..self }
    }

    /// What was published after `until` the connection got already.
    pub(super) fn until(self, until: Option<u64>) -> Self {
        let until = until.unwrap_or(u64::MAX);
        Self { until, ..self }
    }

    /// Adds one of a topic that is among them already: what either grant lets hear may be heard.
    pub(super) fn add(hearings: &mut [Self], other: &Self) {
        let mut known = hearings.iter_mut();
        if let Some(known) = known.find(|known| known.audience == other.audience) {
            known.granted = known.granted.zip(other.granted).map(|(a, b)| a.min(b));
        }
    }

    /// Returns whether the client has all that the connection did not get yet.
    fn is_within(&self, known: KnownUpTo) -> bool {
        matches!(known, KnownUpTo::Sequence(sequence) if self.until <= sequence)
    }

    fn hides(&self, mark: HistoryMark) -> bool {
        let is_cut = self.cut.is_some_and(|cut| mark.sequence <= cut.sequence);
        is_cut || self.granted.is_some_and(|granted| mark.at < granted)
    }
}

impl Missed {
    /// Returns what a connection missed of these after what it has; `None` where some of it is gone.
    pub(super) fn after(
        known: KnownUpTo,
        hearings: &[Hearing],
        history: &mut History,
        member: &Member,
    ) -> Option<Self> {
        let (mut missed, now) = (Self::default(), Instant::now());
        for hearing in hearings.iter().filter(|hearing| !hearing.is_within(known)) {
            let gone = history.floor(&hearing.audience, now);
            if let Some(gone) = gone.filter(|gone| !known.covers(*gone)) {
                if !hearing.hides(gone) {
                    return None;
                }
                missed.is_cut = true;
            }
            let kept = history.after(&hearing.audience, known);
            for kept in kept.take_while(|kept| kept.mark.sequence <= hearing.until) {
                if hearing.hides(kept.mark) {
                    missed.is_cut = true;
                } else if kept.item.is_for(member.id, &member.socket) && !kept.item.is_expired() {
                    missed.items.push(kept.item.anew());
                }
            }
        }
        (missed.items.len() <= member.outbox.room_for_missed()).then_some(missed)
    }

    /// All of it in order, each once and of each key the newest, with what else waits for the connection.
    pub(super) fn in_order(self, more: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
        let mut items = self.items;
        items.extend(more);
        items.sort_unstable_by_key(|item| sequence(item));
        items.dedup_by_key(|item| sequence(item));
        newest_of_each_key(items)
    }
}

/// Returns the number before the first item's.
pub(super) fn begin_behind(items: &[Arc<Item>]) -> Option<u64> {
    Some(sequence(items.first()?).saturating_sub(1))
}

fn sequence(item: &Item) -> u64 {
    item.position().map_or(0, |position| position.sequence)
}

/// Leaves the older items of a key out.
fn newest_of_each_key(items: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
    if items.iter().all(|item| item.key().is_none()) {
        return items;
    }
    let mut keys = HashSet::new();
    let mut newest: Vec<_> = items
        .iter()
        .rev()
        .filter(|item| item.key().is_none_or(|key| keys.insert(key)))
        .cloned()
        .collect();
    newest.reverse();
    newest
}
