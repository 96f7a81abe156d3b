//! An amount that accounts share: so much in all, and so much for one address.
//!
//! Permits at an upstream and the space for buffered bodies are given out here. Where nothing is left,
//! a claim waits: of an address its oldest claim is served first, so that what has begun can end.
//! Claims that have a part each and all wait for more would wait for ever; the youngest of them gives
//! way then.

mod ledger;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

pub(super) use self::ledger::Bounds;
use self::ledger::{Account, ClaimOutcome, Ledger, WaitingClaim};
use crate::net::block::AddressBlock;

/// What is shared. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    shared: Arc<QuotaInner>,
}

#[derive(Debug)]
struct QuotaInner {
    bounds: Bounds,
    ledger: Mutex<Ledger>,
}

/// A request's claim to an amount. The lower `age` came first.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuotaClaim {
    pub(super) address: AddressBlock,
    pub(super) age: u64,
    pub(super) amount: u64,
}

/// There is nothing left, and waiting did not help.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is left")]
pub(super) struct Spent;

/// Whose part stands in the way of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// That of its own address, which has its share.
    Own,
    /// Anybody's.
    Anybody,
}

/// Which claim gives way when one has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivesWay {
    /// The one that waited.
    Itself,
    /// The youngest of those that stand in each other's way.
    Youngest,
}

impl Quota {
    /// All of it is left.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self::shown_by(Gauge::default(), bounds)
    }

    /// All of it is left; `gauge` shows how much is in use.
    pub(super) fn shown_by(gauge: Gauge, bounds: Bounds) -> Self {
        let ledger = Mutex::new(Ledger {
            gauge,
            ..Ledger::default()
        });
        let shared = Arc::new(QuotaInner { bounds, ledger });
        Self { shared }
    }

    /// Takes an amount where it is there, and no claim of that address waits.
    pub(super) fn try_take(&self, address: AddressBlock, amount: u64) -> bool {
        let bounds = &self.shared.bounds;
        self.lock().try_take(bounds, address, amount)
    }

    /// Gives an amount back, to those that wait for it.
    pub(super) fn give(&self, address: AddressBlock, amount: u64) {
        if amount > 0 {
            let mut ledger = self.lock();
            ledger.give(address, amount);
            ledger.serve(&self.shared.bounds);
        }
    }

    /// Takes an amount, and waits for it up to `limit`.
    pub(super) async fn take(
        &self,
        claim: QuotaClaim,
        limit: Duration,
        gives_way: GivesWay,
    ) -> Result<(), Spent> {
        if self.try_take(claim.address, claim.amount) {
            return Ok(());
        }
        let mut place = self.enqueue(claim)?;
        loop {
            match tokio::time::timeout(limit, &mut place.said).await {
                Ok(said) => return place.outcome(said.ok()),
                Err(_) if gives_way == GivesWay::Itself => return Err(Spent),
                Err(_) => self.send_the_youngest_away(claim),
            }
        }
    }

    fn enqueue(&self, claim: QuotaClaim) -> Result<QueuedClaim<'_>, Spent> {
        let bounds = &self.shared.bounds;
        let mut ledger = self.lock();
        let waiting = ledger.waiting;
        let client = ledger.accounts.entry(claim.address).or_default();
        let full = waiting >= bounds.waiting || client.waiting.len() >= bounds.waiting_each;
        if full || claim.amount > bounds.each {
            ledger.forget(claim.address);
            return Err(Spent);
        }
        let (tell, said) = oneshot::channel();
        let (amount, address) = (claim.amount, claim.address);
        let first = client.waiting.is_empty();
        client
            .waiting
            .insert(claim.age, WaitingClaim { amount, said: tell });
        ledger.waiting += 1;
        if first {
            ledger.hungry.push(address);
        }
        // What another could not use may do for this one.
        ledger.serve(bounds);
        Ok(QueuedClaim {
            quota: self,
            claim,
            said,
            over: false,
        })
    }

    /// Sends the youngest claim away that stands in the way of `claim`: among those of its own address
    /// where that address has used its share up, else among all.
    fn send_the_youngest_away(&self, claim: QuotaClaim) {
        let bounds = &self.shared.bounds;
        let mut ledger = self.lock();
        let own = ledger.accounts.get(&claim.address);
        let share_is_used = own.is_some_and(|own| own.used + claim.amount > bounds.each);
        let youngest = if share_is_used {
            own.and_then(Account::youngest)
                .map(|age| (age, claim.address))
        } else {
            let waiting = ledger.hungry.iter().filter_map(|address| {
                let client = ledger.accounts.get(address)?;
                Some((client.youngest()?, *address))
            });
            waiting.max_by_key(|(age, _)| *age)
        };
        if let Some((age, address)) = youngest
            && let Some(waiting) = ledger.remove(address, age)
        {
            // A claim whose owner is gone has given way already.
            let _ = waiting.said.send(ClaimOutcome::GiveWay);
        }
    }

    /// Whose part stands in the way of what this address cannot take.
    pub(super) fn in_the_way(&self, address: AddressBlock, amount: u64) -> InTheWay {
        let ledger = self.lock();
        let own = ledger.accounts.get(&address);
        let used = own.map_or(0, |own| own.used);
        let is_waited_for = own.is_some_and(|own| !own.waiting.is_empty());
        if used + amount > self.shared.bounds.each || is_waited_for {
            InTheWay::Own
        } else {
            InTheWay::Anybody
        }
    }

    /// How much of it this address has.
    pub(super) fn used_by(&self, address: AddressBlock) -> u64 {
        let ledger = self.lock();
        ledger.accounts.get(&address).map_or(0, |own| own.used)
    }

    /// How much is in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.lock().used
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        let ledger = &self.shared.ledger;
        ledger.lock()
    }
}

/// A claim that waits. Dropped, it waits no longer, and what it was granted unheard is given back.
struct QueuedClaim<'a> {
    quota: &'a Quota,
    claim: QuotaClaim,
    said: oneshot::Receiver<ClaimOutcome>,
    over: bool,
}

impl QueuedClaim<'_> {
    fn outcome(&mut self, said: Option<ClaimOutcome>) -> Result<(), Spent> {
        self.over = true;
        match said {
            Some(ClaimOutcome::Granted) => Ok(()),
            Some(ClaimOutcome::GiveWay) | None => Err(Spent),
        }
    }
}

impl Drop for QueuedClaim<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let waited = self
            .quota
            .lock()
            .remove(self.claim.address, self.claim.age)
            .is_some();
        if !waited && self.said.try_recv() == Ok(ClaimOutcome::Granted) {
            self.quota.give(self.claim.address, self.claim.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all, poll_immediate};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const QUOTA: Bounds = Bounds {
        total: 10,
        each: 4,
        waiting: 100,
        waiting_each: 50,
    };

    fn of(address: &str) -> AddressBlock {
        AddressBlock::of(address.parse().unwrap())
    }

    fn claim(address: &str, age: u64, amount: u64) -> QuotaClaim {
        QuotaClaim {
            address: of(address),
            age,
            amount,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_share_and_leaves_the_rest_to_others() {
        let quota = Quota::new(QUOTA);
        assert!(quota.try_take(of("2001:db8::1"), 3));
        assert!(!quota.try_take(of("2001:db8::2"), 2), "the same /64");
        assert!(quota.try_take(of("192.0.2.2"), 4));
        assert!(quota.try_take(of("192.0.2.3"), 3));
        assert!(!quota.try_take(of("192.0.2.4"), 1), "nothing is left");
        quota.give(of("192.0.2.3"), 3);
        assert!(quota.try_take(of("192.0.2.4"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_an_address_is_served_first() {
        let quota = Quota::new(QUOTA);
        assert!(quota.try_take(of("192.0.2.1"), 4));
        let take = |age| quota.take(claim("192.0.2.1", age, 2), LIMIT, GivesWay::Youngest);
        let (mut young, mut old) = (Box::pin(take(2)), Box::pin(take(1)));
        assert!(poll_immediate(&mut young).await.is_none());
        assert!(poll_immediate(&mut old).await.is_none());
        quota.give(of("192.0.2.1"), 2);
        assert_eq!(poll_immediate(&mut old).await, Some(Ok(())));
        assert!(poll_immediate(&mut young).await.is_none());
        assert!(
            !quota.try_take(of("192.0.2.1"), 1),
            "nobody comes before those that wait"
        );
        assert!(quota.try_take(of("192.0.2.2"), 1));
        quota.give(of("192.0.2.1"), 2);
        assert_eq!(poll_immediate(&mut young).await, Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn the_youngest_gives_way_to_those_that_began_before() {
        let quota = Quota::new(QUOTA);
        assert!(quota.try_take(of("192.0.2.1"), 2), "the part of the old");
        assert!(quota.try_take(of("192.0.2.1"), 2), "the part of the young");
        let old = quota.take(claim("192.0.2.1", 1, 1), LIMIT, GivesWay::Youngest);
        let young = async {
            let end = quota
                .take(claim("192.0.2.1", 2, 1), LIMIT, GivesWay::Youngest)
                .await;
            quota.give(of("192.0.2.1"), 2);
            end
        };
        assert_eq!(join(old, young).await, (Ok(()), Err(Spent)));
        assert_eq!(quota.used(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_alone_waits_in_vain_goes_in_the_end() {
        let quota = Quota::new(QUOTA);
        assert!(quota.try_take(of("192.0.2.1"), 4));
        for gives_way in [GivesWay::Itself, GivesWay::Youngest] {
            let take = quota.take(claim("192.0.2.1", 1, 1), LIMIT, gives_way);
            assert_eq!(take.await, Err(Spent));
        }
        quota.give(of("192.0.2.1"), 4);
        assert_eq!(quota.used(), 0);
        assert!(quota.lock().accounts.is_empty(), "nothing is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_wait_and_no_more() {
        let quota = Quota::new(Bounds {
            waiting_each: 1,
            ..QUOTA
        });
        assert!(quota.try_take(of("192.0.2.1"), 4));
        let takes =
            (0..2).map(|age| quota.take(claim("192.0.2.1", age, 1), LIMIT, GivesWay::Itself));
        let began = tokio::time::Instant::now();
        let mut takes = join_all(takes.map(|take| async { (take.await, began.elapsed()) })).await;
        takes.sort_by_key(|(_, waited)| *waited);
        assert_eq!(takes[0], (Err(Spent), Duration::ZERO));
        assert_eq!(takes[1].1, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_to_who_has_left_is_not_lost() {
        let quota = Quota::new(QUOTA);
        assert!(quota.try_take(of("192.0.2.1"), 4));
        let mut take = Box::pin(quota.take(claim("192.0.2.1", 1, 2), LIMIT, GivesWay::Youngest));
        assert!(poll_immediate(&mut take).await.is_none());
        quota.give(of("192.0.2.1"), 4);
        assert_eq!(quota.used(), 2);
        drop(take);
        assert_eq!(quota.used(), 0);
    }
}
