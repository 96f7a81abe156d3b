//! How many requests one upstream serves at once, and how many wait for a permit.
//!
//! Used by `upstream`. A request that waits for an upstream to come back keeps its permit, so this
//! also bounds how many knock at a dead one. And one address has a share only, over all its
//! connections and streams, so that it cannot take an upstream away from all others.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::quota::{Bounds, GivesWay, Quota, QuotaClaim};
use crate::net::block::AddressBlock;

/// Requests under way at once; the rest wait.
pub(super) const MOST_UNDER_WAY: usize = 512;
/// Of one address at once: half, since many people may be behind one.
const MOST_OF_ONE_ADDRESS: usize = MOST_UNDER_WAY / 2;
/// Requests that may wait, and those of one address.
const MOST_WAITING: (usize, usize) = (4096, 1024);
/// How long a request waits.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Hands out permits.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    quota: Quota,
    next: AtomicU64,
}

/// One request's permit; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    quota: Quota,
    address: AddressBlock,
}

impl ConcurrencyLimit {
    /// All permits are free.
    pub(super) fn new() -> Self {
        let bounds = Bounds {
            total: MOST_UNDER_WAY as u64,
            each: MOST_OF_ONE_ADDRESS as u64,
            waiting: MOST_WAITING.0,
            waiting_each: MOST_WAITING.1,
        };
        Self {
            quota: Quota::new(bounds),
            next: AtomicU64::new(0),
        }
    }

    /// A permit for a client, or `None` where too many wait or it takes too long.
    pub(super) async fn take(&self, client: IpAddr) -> Option<Permit> {
        let claim = QuotaClaim {
            address: AddressBlock::of(client),
            age: self.next.fetch_add(1, Ordering::Relaxed),
            amount: 1,
        };
        let taken = self.quota.take(claim, PERMIT_TIMEOUT, GivesWay::Itself);
        taken.await.ok()?;
        Some(Permit {
            quota: self.quota.clone(),
            address: claim.address,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.quota.give(self.address, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_bounded_and_waiting_ends() {
        let limit = ConcurrencyLimit::new();
        let mut taken = Vec::new();
        for permit in 0..MOST_UNDER_WAY {
            let client = client(u8::from(permit % 2 == 0));
            taken.push(limit.take(client).await.unwrap());
        }
        assert!(
            limit.take(client(2)).await.is_none(),
            "no permit was given back"
        );
        taken.pop();
        assert!(limit.take(client(2)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_turns_for_others() {
        let limit = ConcurrencyLimit::new();
        let mut taken = Vec::new();
        while let Some(permit) = limit.take(client(1)).await {
            taken.push(permit);
        }
        assert_eq!(taken.len(), MOST_OF_ONE_ADDRESS);
        assert!(limit.take(client(2)).await.is_some());
        taken.pop();
        assert!(limit.take(client(1)).await.is_some());
    }
}
