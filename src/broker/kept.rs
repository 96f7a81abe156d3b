//! One publication as the history keeps it, and how far back a client looks.

use std::sync::Arc;
use std::time::Instant;

use crate::hub::Item;

/// A publication's place in the history, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryMark {
    pub(super) sequence: u64,
    pub(super) at: Instant,
}

/// What a client has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownUpTo {
    /// Everything up to the publication of this number.
    Sequence(u64),
    /// Everything that was published before.
    Moment(Instant),
}

/// One publication that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) mark: HistoryMark,
    pub(super) item: Arc<Item>,
}

impl HistoryMark {
    /// Moves it forward to another one.
    pub(super) fn raise(&mut self, to: Self) {
        if self.sequence < to.sequence {
            *self = to;
        }
    }

    /// The later of two.
    pub(super) fn later(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter()
            .chain(other)
            .max_by_key(|mark| mark.sequence)
    }
}

impl KnownUpTo {
    /// Whether a publication is among it.
    pub(super) fn covers(self, mark: HistoryMark) -> bool {
        match self {
            Self::Sequence(sequence) => mark.sequence <= sequence,
            Self::Moment(moment) => mark.at < moment,
        }
    }
}
