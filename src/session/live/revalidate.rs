//! Asks Django again about live sessions, about all of them within `auth.revalidate`, and about each when its
//! time is over: it may have got more meanwhile.
//!
//! Run by `lifecycle`. Nothing is planned for a session. The row always has the one first that Django was not
//! asked about for longest, and the pace only says when the next batch leaves; so an outage or a crowd that
//! comes at once never makes Django be asked faster.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::net::jitter::jitter;
use crate::session::live::rechecks::Rechecks;

/// How often is looked whether something is due, where nothing is sooner.
const LOOK: Duration = Duration::from_secs(1);
/// Both ways, of the interval or of the time between two batches.
const JITTER: f64 = 0.2;
/// Of the interval: what was asked about so recently has no turn yet. A crowd that has just come was
/// asked about one by one a moment ago, and Django has enough to do.
const SOONEST: f64 = 0.25;

/// When the next batch leaves.
#[derive(Debug)]
struct RevalidationPace {
    interval: Duration,
    looked: Instant,
    /// How many sessions should have had their turn since the last batch.
    owed: f64,
    /// From -1 to 1: how much earlier or later than on time the next batch leaves.
    jitter: f64,
}

/// Keeps live sessions up to date until the gateway goes away.
pub(super) async fn run(rechecks: Arc<Rechecks>) {
    tokio::select! {
        () = revalidate(&rechecks) => {}
        () = ask_about_ends(&rechecks) => {}
        () = give_up_in_time(&rechecks) => {}
        () = ask_about_visitors(&rechecks) => {}
        () = ask_about_grants(&rechecks) => {}
        () = rechecks.parts.drain.draining() => {}
    }
}

async fn revalidate(rechecks: &Arc<Rechecks>) {
    let (live, interval) = (&rechecks.parts.live, rechecks.settings.get().revalidate);
    let mut pace = RevalidationPace::new(interval);
    loop {
        tokio::time::sleep(LOOK.min(interval / 20)).await;
        if live.is_empty() {
            live.some.notified().await;
            pace = RevalidationPace::new(interval);
        }
        let most = rechecks.parts.asker.at_once();
        let (count, age) = live.row();
        if pace.is_due(count, age, most) {
            let sessions = live.take_turn(most);
            rechecks.ask_in_turn(&sessions).await;
        }
    }
}

/// Asks about sessions at the second at which they end.
async fn ask_about_ends(rechecks: &Rechecks) {
    let live = &rechecks.parts.live;
    loop {
        let ended = live.take_ended(rechecks.parts.asker.at_once());
        rechecks.ask_at_once(&ended).await;
        let next = live.next_end().unwrap_or(LOOK);
        tokio::time::sleep(next.clamp(Duration::from_millis(1), LOOK)).await;
    }
}

/// Closes sessions about which Django has given no judgement for too long.
async fn give_up_in_time(rechecks: &Rechecks) {
    let grace = rechecks.settings.get().grace;
    loop {
        rechecks.parts.live.give_up(grace);
        tokio::time::sleep(LOOK.min(grace)).await;
    }
}

/// Asks views about visitors, who have no session that has its turn.
async fn ask_about_visitors(rechecks: &Rechecks) {
    loop {
        let jitter = 1.0 + JITTER * jitter();
        tokio::time::sleep(rechecks.settings.get().revalidate.mul_f64(jitter)).await;
        rechecks.grants.ask_visitors().await;
    }
}

/// Asks views at the second at which what they granted ends.
async fn ask_about_grants(rechecks: &Rechecks) {
    loop {
        let most = rechecks.parts.asker.at_once();
        if !rechecks.grants.ask_about_ends(most).await {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl RevalidationPace {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            looked: Instant::now(),
            owed: 0.0,
            jitter: jitter(),
        }
    }

    /// Whether a batch of `most` is to leave now. There are `count` sessions, and the first has waited for
    /// `age`.
    fn is_due(&mut self, count: usize, age: Duration, most: usize) -> bool {
        let (now, most) = (Instant::now(), as_float(most));
        let share = (now - self.looked).as_secs_f64() / self.interval.as_secs_f64();
        let waited = age.as_secs_f64() / self.interval.as_secs_f64();
        self.looked = now;
        // More is never made up for: Django may have been slow because it has too much to do.
        self.owed = (self.owed + share * as_float(count)).min(2.0 * most);
        let many = as_float(count) > most;
        let due = if many {
            let owed = self.owed >= most * (1.0 + JITTER * self.jitter);
            owed && waited >= SOONEST || waited >= 1.0 + JITTER
        } else {
            count > 0 && waited >= 1.0 + JITTER * self.jitter
        };
        if due {
            // The rest stays owed, so that jitter does not add up.
            self.owed = if many {
                (self.owed - most).max(0.0)
            } else {
                0.0
            };
            self.jitter = jitter();
        }
        due
    }
}

fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
