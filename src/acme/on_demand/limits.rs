//! How often Django is asked about names, and how many are waited for: what an attacker who invents names can cost.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::net::address_rate::AddressRate;
use crate::net::block::AddressBlock;
use crate::net::gcra::Gcra;
use crate::net::per_address::{AddressPermit, PerAddress, PlaceLimits};
use crate::telemetry::seldom::Seldom;

/// Questions that may begin in a second, of which as many may come at once.
const A_SECOND: u32 = 10;
/// Of these, for one client's address; and how many of it may come at once.
const A_SECOND_OF_ADDRESS: u32 = 1;
const BURST_OF_ADDRESS: u32 = 10;
/// Questions under way at once.
const AT_ONCE: usize = 4;
/// Names that wait for a question to be answered, those under way among them.
const WAITING_QUESTIONS: usize = 64;
/// Allowed names that wait for their first certificate: ten minutes of orders.
const WAITING_ORDERS: usize = 100;
/// Clients that wait, in all and of one address.
const WAITING_CLIENTS: PlaceLimits = PlaceLimits {
    total: Some(256),
    each: Some(32),
};
/// The least time between two log lines about one limit.
const QUIET: Duration = Duration::from_mins(1);

/// The limits.
#[derive(Debug)]
pub(in crate::acme) struct DemandLimits {
    rate: Gcra,
    spent: Mutex<Instant>,
    of_address: AddressRate,
    pub(super) questions: Arc<Semaphore>,
    pub(super) under_way: Semaphore,
    pub(super) orders: Semaphore,
    clients: Arc<PerAddress>,
    complaints: Seldom,
    /// The log lines that tell that Django does not say.
    pub(super) unsaid: Seldom,
}

impl DemandLimits {
    /// Nothing was asked yet.
    pub(in crate::acme) fn new() -> Self {
        Self {
            rate: Gcra::new(A_SECOND, A_SECOND),
            spent: Mutex::new(Instant::now()),
            of_address: AddressRate::new(A_SECOND_OF_ADDRESS, BURST_OF_ADDRESS),
            questions: Arc::new(Semaphore::new(WAITING_QUESTIONS)),
            under_way: Semaphore::new(AT_ONCE),
            orders: Semaphore::new(WAITING_ORDERS),
            clients: PerAddress::new(WAITING_CLIENTS),
            complaints: Seldom::new(QUIET),
            unsaid: Seldom::new(QUIET),
        }
    }

    /// Counts one more question for this client, or says that it is one too many.
    pub(super) fn spend(&self, client: Option<IpAddr>, now: Instant) -> bool {
        // One address's own come first, so that it uses nothing up beyond them.
        if let Some(address) = client
            && !self.of_address.spend(AddressBlock::of(address), now)
        {
            return false;
        }
        let mut spent = self.spent.lock();
        let next = self.rate.spend(*spent, now);
        next.map(|next| *spent = next).is_some()
    }

    /// This client's place among those who wait, unless there are too many.
    pub(super) fn wait(&self, client: Option<IpAddr>) -> Option<AddressPermit> {
        self.clients.take(client.map(AddressBlock::of)).ok()
    }

    /// Says, once in a while, that a name was not gone on with.
    pub(super) fn complain(&self, name: &str, limit: &str) {
        if self.complaints.is_due() {
            tracing::warn!(
                name,
                limit,
                "clients ask for more names than may have certificates at once; some handshakes are refused"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_through(limits: &DemandLimits, address: impl Fn(u32) -> Option<IpAddr>) -> usize {
        let now = Instant::now();
        (0..100_000)
            .filter(|n| limits.spend(address(*n), now))
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_ten_a_second_and_one_for_each_address() {
        let limits = DemandLimits::new();
        let many = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let one = |_| Some(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(let_through(&limits, many), 10);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(let_through(&limits, one), 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(let_through(&limits, one), 1);
        assert_eq!(let_through(&limits, |_| None), 9, "what is left to others");
    }

    #[tokio::test]
    async fn one_address_does_not_take_all_places_of_those_who_wait() {
        let limits = DemandLimits::new();
        let waiting = |last: u8| -> Vec<_> {
            let client = Some(IpAddr::from([192, 0, 2, last]));
            std::iter::from_fn(|| limits.wait(client)).collect()
        };
        let one = waiting(1);
        assert_eq!(one.len(), 32);
        let others: usize = (2..100).map(|last| waiting(last).len()).sum();
        assert_eq!(others, 98 * 32, "who has left waits no more");
        let held: Vec<_> = (2..100).map(waiting).collect();
        assert_eq!(one.len() + held.iter().map(Vec::len).sum::<usize>(), 256);
    }
}
