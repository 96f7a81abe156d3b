//! All that a history keeps and knows to be gone, for the history of the process that takes this one's place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::History;
use super::marks::{MarksSnapshot, SentMark};
use crate::broker::kept::{HistoryMark, Kept, KnownUpTo};
use crate::broker::sent::{SentAudience, SentPublication};
use crate::hub::Item;
use crate::publication::{Audience, Position};

/// What is under the broker's lock, and cheap to take from there.
pub(crate) struct HeldHistory {
    kept: BTreeMap<u64, HeldPublication>,
    gone: Vec<(Audience, HistoryMark)>,
    floors: MarksSnapshot,
    cuts: MarksSnapshot,
}

struct HeldPublication {
    at: Instant,
    item: Arc<Item>,
    to: Vec<Audience>,
}

/// A history, as another process is told of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HistorySnapshot {
    kept: Vec<SentKept>,
    /// The last that these audiences lost.
    gone: Vec<SentFloor>,
    floors: MarksSnapshot,
    cuts: MarksSnapshot,
}

#[derive(Debug, Serialize, Deserialize)]
struct SentKept {
    mark: SentMark,
    publication: SentPublication,
}

#[derive(Debug, Serialize, Deserialize)]
struct SentFloor {
    audience: SentAudience,
    mark: SentMark,
}

impl History {
    /// All of it.
    pub(crate) fn held(&self) -> HeldHistory {
        let mut kept = BTreeMap::<u64, HeldPublication>::new();
        let mut gone = Vec::new();
        for (audience, log) in &self.logs {
            gone.extend(log.floor().map(|mark| (audience.clone(), mark)));
            for one in log.after_known(KnownUpTo::Sequence(0)) {
                let held = kept.entry(one.mark.sequence);
                let held = held.or_insert_with(|| HeldPublication {
                    at: one.mark.at,
                    item: Arc::clone(&one.item),
                    to: Vec::new(),
                });
                held.to.push(audience.clone());
            }
        }
        let now = Instant::now();
        HeldHistory {
            kept,
            gone,
            floors: self.floors.snapshot(now),
            cuts: self.cuts.snapshot(now),
        }
    }

    /// Knows what the history of the process before knew; nothing may have been published here yet.
    pub(crate) fn inherit(&mut self, snapshot: HistorySnapshot, generation: u32) {
        let now = Instant::now();
        self.floors.inherit(snapshot.floors, now);
        self.cuts.inherit(snapshot.cuts, now);
        for gone in snapshot.gone {
            if let Some(audience) = gone.audience.audience() {
                self.floors.raise(&audience, gone.mark.mark(now));
            }
        }
        for SentKept { mark, publication } in snapshot.kept {
            let mark = mark.mark(now);
            let position = Position {
                generation,
                sequence: mark.sequence,
            };
            if let Some(publication) = publication.publication(now) {
                let item = Item::published(&publication, position);
                self.keep(&publication.to, &Kept { mark, item });
            }
        }
    }
}

impl HeldHistory {
    /// In words.
    pub(crate) fn snapshot(self) -> HistorySnapshot {
        let now = Instant::now();
        let kept = self.kept.into_iter().map(|(sequence, held)| {
            let mark = HistoryMark {
                sequence,
                at: held.at,
            };
            SentKept {
                mark: SentMark::of(mark, now),
                publication: SentPublication::of(&held.item.publication(held.to), now),
            }
        });
        let gone = self.gone.iter().map(|(audience, mark)| SentFloor {
            audience: SentAudience::of(audience),
            mark: SentMark::of(*mark, now),
        });
        HistorySnapshot {
            kept: kept.collect(),
            gone: gone.collect(),
            floors: self.floors,
            cuts: self.cuts,
        }
    }
}
