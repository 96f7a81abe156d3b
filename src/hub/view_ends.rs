//! When what views granted ends by itself, over all connections.
//!
//! Kept by the registry, changed under the lock of a connection's standing. Nothing ends here; the view is
//! asked first when an end is taken.

use std::collections::BTreeSet;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::ids::{ConnectionId, ViewTarget};

/// When a connection ceases to hear what a view granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewEnd {
    /// When.
    pub at: SystemTime,
    /// Which connection.
    pub connection: ConnectionId,
    /// Which view.
    pub view: ViewTarget,
}

/// All ends, the next one first.
#[derive(Debug, Default)]
pub(super) struct ViewEnds(Mutex<BTreeSet<ViewEnd>>);

impl ViewEnds {
    /// Puts some in the place of others.
    pub(super) fn replace(&self, old: &[ViewEnd], new: Vec<ViewEnd>) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        let mut ends = self.0.lock();
        for end in old {
            ends.remove(end);
        }
        ends.extend(new);
    }

    /// Takes up to `most` that have come.
    pub(super) fn take(&self, now: SystemTime, most: usize) -> Vec<ViewEnd> {
        let mut ends = self.0.lock();
        let mut taken = Vec::new();
        while taken.len() < most
            && ends.first().is_some_and(|end| end.at <= now)
            && let Some(end) = ends.pop_first()
        {
            taken.push(end);
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
