//! What is known of the names that clients ask for: bounded, whatever they invent.
//!
//! Used by `on_demand` under one lock. A name is attended by a task of its own, or rests: Django said no, or nothing,
//! and is not asked before its time. How fast names come to rest is bounded by how often Django is asked.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::tls::supplier::SupplyStage;

/// How many names are attended at most. Each has Django's word; a certificate and a task take some kilobytes.
const MOST_ATTENDED: usize = 10_000;

/// How many names rest at most: more than Django is asked about within the longest rest.
const MOST_RESTING: usize = 1000;

/// The names.
#[derive(Debug, Default)]
pub(in crate::acme) struct NameTable {
    names: HashMap<String, NameState>,
    attended: usize,
}

#[derive(Debug)]
enum NameState {
    Attended(Attended),
    Resting(Rest),
}

/// A name that has a task.
#[derive(Clone, Debug)]
pub(super) struct Attended {
    /// How far it has come.
    pub(super) stage: watch::Receiver<SupplyStage>,
    /// Wakes the task where it waits for somebody to ask for the name again.
    pub(super) demand: Arc<Notify>,
}

/// How long a name is not asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) until: Instant,
    /// How often in a row Django has not said whether it is allowed.
    pub(super) failures: u32,
}

/// What there is of a name.
#[derive(Debug)]
pub(super) enum NameFound {
    Attended(Attended),
    Resting,
    /// Nothing, or it has rested; so often in a row Django has not said whether it is allowed.
    New {
        failures: u32,
    },
}

impl NameTable {
    pub(super) fn find(&self, name: &str, now: Instant) -> NameFound {
        match self.names.get(name) {
            Some(NameState::Attended(attended)) => NameFound::Attended(attended.clone()),
            Some(NameState::Resting(rest)) if now < rest.until => NameFound::Resting,
            Some(NameState::Resting(rest)) => NameFound::New {
                failures: rest.failures,
            },
            None => NameFound::New { failures: 0 },
        }
    }

    /// Whether one more name can be attended, and rest afterwards.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if self.names.len() - self.attended >= MOST_RESTING {
            self.names.retain(|_, state| match state {
                NameState::Attended(_) => true,
                NameState::Resting(rest) => now < rest.until,
            });
        }
        self.attended < MOST_ATTENDED && self.names.len() - self.attended < MOST_RESTING
    }

    /// A task begins with a name that had none.
    pub(super) fn attend(&mut self, name: &str, attended: Attended) {
        self.names
            .insert(name.to_owned(), NameState::Attended(attended));
        self.attended += 1;
    }

    /// The name's task has ended.
    pub(super) fn rest(&mut self, name: &str, rest: Rest) {
        self.names.insert(name.to_owned(), NameState::Resting(rest));
        self.attended -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attended() -> Attended {
        Attended {
            stage: watch::channel(SupplyStage::Asked).1,
            demand: Arc::default(),
        }
    }

    fn rest(table: &mut NameTable, name: &str, until: Instant) {
        table.attend(name, attended());
        table.rest(name, Rest { until, failures: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_rests_for_its_time_and_is_new_then() {
        let (mut table, now) = (NameTable::default(), Instant::now());
        let until = now + Duration::from_mins(1);
        table.attend("shop.test", attended());
        assert!(matches!(
            table.find("shop.test", now),
            NameFound::Attended(_)
        ));
        table.rest("shop.test", Rest { until, failures: 2 });
        assert!(matches!(table.find("shop.test", now), NameFound::Resting));
        assert!(matches!(
            table.find("shop.test", until),
            NameFound::New { failures: 2 }
        ));
        assert!(matches!(
            table.find("other.test", now),
            NameFound::New { failures: 0 }
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_names_are_invented_no_more_are_remembered_than_there_is_room_for() {
        let (mut table, now) = (NameTable::default(), Instant::now());
        let mut asked = 0;
        for number in 0..10_000 {
            if table.has_room(now) {
                rest(
                    &mut table,
                    &format!("{number}.test"),
                    now + Duration::from_mins(1),
                );
                asked += 1;
            }
        }
        assert_eq!((asked, table.names.len()), (MOST_RESTING, MOST_RESTING));
        let later = now + Duration::from_mins(1);
        assert!(table.has_room(later), "they have rested");
        assert_eq!(table.names.len(), 0);
        for number in 0..=MOST_ATTENDED {
            if table.has_room(later) {
                table.attend(&format!("{number}.test"), attended());
            }
        }
        assert_eq!(table.names.len(), MOST_ATTENDED);
        assert!(!table.has_room(later));
    }
}
