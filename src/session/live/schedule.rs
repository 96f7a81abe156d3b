//! The row of live sessions that wait for their turn to be asked of again, and their ends.
//!
//! Called by `revalidate`.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::find::subjects;
use super::table::Live;
use super::{LiveSessions, LiveSubject};
use crate::close::CloseReason;

impl LiveSessions {
    /// Takes up to `most` sessions whose turn it is, and puts them at the end of the row.
    pub(in crate::session) fn take_turn(&self, most: usize) -> Vec<LiveSubject> {
        let mut table = self.table();
        let (ids, now) = (table.next(most), Instant::now());
        for id in &ids {
            table.set_checked(*id, now);
        }
        subjects(&table, ids)
    }

    /// Puts sessions that were asked of out of turn at the end of the row; those of which Django gave no
    /// judgement at its front, as if nobody had asked for twice the interval.
    pub(in crate::session) fn end_turn(&self, sessions: &[LiveSubject], interval: Duration) {
        let mut table = self.table();
        let now = Instant::now();
        for session in sessions {
            let failed = table.get(session.id).is_some_and(|live| live.failed);
            let front = now.checked_sub(2 * interval).filter(|_| failed);
            table.set_checked(session.id, front.unwrap_or(now));
        }
    }

    /// How many sessions there are, and how long Django was not asked of the one whose turn is next.
    pub(in crate::session) fn row(&self) -> (usize, Duration) {
        let table = self.table();
        let oldest = table.oldest().map(|checked| checked.elapsed());
        (table.len(), oldest.unwrap_or_default())
    }

    /// Takes up to `most` sessions whose end has come, each once: it may have been put off.
    pub(in crate::session) fn take_ended(&self, most: usize) -> Vec<LiveSubject> {
        let mut table = self.table();
        let ids = table.take_ended(SystemTime::now(), most);
        subjects(&table, ids)
    }

    /// How long it is until the next session ends by itself.
    pub(in crate::session) fn next_end(&self) -> Option<Duration> {
        let end = self.table().first_end()?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Closes the sessions of which Django has given no judgement for longer than `grace`. When it is back,
    /// they wait for their turn like all others.
    pub(in crate::session) fn give_up(&self, grace: Duration) {
        let mut table = self.table();
        if !table.is_away {
            return;
        }
        let is_over = |live: &Live| live.failed && live.asked.elapsed() >= grace;
        let over = table.iter().filter(|(_, live)| is_over(live));
        for id in over.map(|(id, _)| id).collect::<Vec<_>>() {
            self.close(&mut table, id, &CloseReason::DjangoUnreachable);
        }
    }
}
