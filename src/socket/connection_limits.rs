//! Who may come in at all: handshakes a second, connections from one address, connections in all.
//!
//! Asked first by every handshake. The surprise: a connection counts from its handshake on, so
//! that those still to be judged have a place too; and what is not limited costs nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::accept::HandshakeError;
use super::hashed_slots::HashedSlots;
use crate::config::Limits;
use crate::net::block::AddressBlock;

/// 256 KiB; ten thousand busy addresses rarely meet in one slot.
const SLOTS: usize = 32 * 1024;
/// What a client may have in hand: the handshakes of one second.
const BURST: u64 = 1_000_000_000;

/// Lets handshakes in.
#[derive(Debug)]
pub struct ConnectionLimits {
    connections: Option<usize>,
    here: AtomicUsize,
    addresses: Option<Addresses>,
    rate: Option<Rate>,
}

/// A connection's place. Dropping it makes room for the next.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limits: Arc<ConnectionLimits>,
    block: Option<AddressBlock>,
}

/// Connections of each address that has any.
#[derive(Debug)]
struct Addresses {
    limit: usize,
    here: Mutex<HashMap<AddressBlock, usize>>,
}

/// Handshakes of each address (GCRA): a slot holds the nanosecond at which its budget is whole again.
#[derive(Debug)]
struct Rate {
    cost: u64,
    began: Instant,
    slots: HashedSlots,
}

impl ConnectionLimits {
    /// An entrance with nobody inside.
    pub fn new(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            here: AtomicUsize::new(0),
            addresses: limits.connections_per_address.map(Addresses::new),
            rate: limits.handshakes_per_address.map(Rate::new),
        }
    }

    /// Lets a client in, or says which limit it met.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<ConnectionPermit, HandshakeError> {
        let block = AddressBlock::of(address);
        if let Some(rate) = &self.rate
            && !rate.spend(block, Instant::now())
        {
            return Err(HandshakeError::TooFast);
        }
        let before = self.here.fetch_add(1, Ordering::Relaxed);
        // From here on dropping the seat gives the place back.
        let mut permit = ConnectionPermit {
            limits: Arc::clone(self),
            block: None,
        };
        if self.connections.is_some_and(|limit| before >= limit) {
            return Err(HandshakeError::Full);
        }
        if let Some(addresses) = &self.addresses {
            if !addresses.take(block) {
                return Err(HandshakeError::AddressFull);
            }
            permit.block = Some(block);
        }
        Ok(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limits.here.fetch_sub(1, Ordering::Relaxed);
        if let (Some(addresses), Some(block)) = (&self.limits.addresses, self.block) {
            addresses.give_back(block);
        }
    }
}

impl Addresses {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            here: Mutex::default(),
        }
    }

    fn take(&self, block: AddressBlock) -> bool {
        let mut here = self.lock();
        let count = here.entry(block).or_default();
        let room = *count < self.limit;
        *count += usize::from(room);
        room
    }

    fn give_back(&self, block: AddressBlock) {
        if let Entry::Occupied(mut count) = self.lock().entry(block) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBlock, usize>> {
        self.here.lock()
    }
}

impl Rate {
    fn new(per_second: u32) -> Self {
        Self {
            cost: BURST / u64::from(per_second.max(1)),
            began: Instant::now(),
            slots: HashedSlots::new(SLOTS),
        }
    }

    fn spend(&self, block: AddressBlock, now: Instant) -> bool {
        let now = u64::try_from((now - self.began).as_nanos()).unwrap_or(u64::MAX);
        let spent = |whole: u64| {
            let next = whole.max(now).saturating_add(self.cost);
            (next <= now.saturating_add(BURST)).then_some(next)
        };
        let slot: &AtomicU64 = self.slots.of(block);
        slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(change: impl FnOnce(&mut Limits)) -> Arc<ConnectionLimits> {
        let mut limits = Limits {
            handshakes_per_address: None,
            ..Limits::default()
        };
        change(&mut limits);
        Arc::new(ConnectionLimits::new(&limits))
    }

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn there_are_as_many_places_as_connections_allowed_and_each_comes_free_again() {
        let limits = limits(|limits| limits.connections = Some(2));
        let _first = limits.enter(client(1)).unwrap();
        let second = limits.enter(client(2)).unwrap();
        for _ in 0..3 {
            let refused = limits.enter(client(3));
            assert!(matches!(refused, Err(HandshakeError::Full)));
        }
        drop(second);
        let _third = limits.enter(client(3)).unwrap();
        assert_eq!(limits.here.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn one_address_takes_no_more_than_its_part_and_leaves_nothing_behind() {
        let limits = limits(|limits| limits.connections_per_address = Some(2));
        let seats: Vec<_> = [1, 1, 2].map(|last| limits.enter(client(last))).into();
        assert!(seats.iter().all(Result::is_ok));
        for _ in 0..3 {
            let refused = limits.enter(client(1));
            assert!(matches!(refused, Err(HandshakeError::AddressFull)));
        }
        drop(seats);
        assert!(limits.addresses.as_ref().unwrap().lock().is_empty());
        assert_eq!(limits.here.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_address_has_the_handshakes_of_a_second_in_hand_and_then_its_rate() {
        let rate = Rate::new(10);
        let (one, other) = (AddressBlock::of(client(1)), AddressBlock::of(client(2)));
        let now = rate.began + Duration::from_secs(5);
        let let_in = |count, now| (0..count).filter(|_| rate.spend(one, now)).count();
        assert_eq!(let_in(30, now), 10);
        assert!(rate.spend(other, now));
        assert_eq!(let_in(30, now + Duration::from_millis(300)), 3);
        assert_eq!(let_in(30, now + Duration::from_hours(1)), 10);
    }

    #[test]
    fn the_slowest_and_the_fastest_rate_let_somebody_in() {
        for per_second in [1, u32::MAX] {
            let rate = Rate::new(per_second);
            assert!(rate.spend(AddressBlock::of(client(1)), rate.began));
        }
    }

    #[test]
    fn a_crowd_of_addresses_takes_no_memory_and_hardly_keeps_anybody_out() {
        let rate = Rate::new(200);
        let now = rate.began;
        let crowd = (0..50_000_u32).map(|n| AddressBlock::of(IpAddr::from(n.to_be_bytes())));
        let refused = crowd.filter(|block| !rate.spend(*block, now)).count();
        assert_eq!(refused, 0);
    }
}
