//! Who may come in at all: handshakes a second, connections from one address, connections in all.
//!
//! Asked first by every handshake. The surprise: a connection counts from its handshake on, so
//! that those still to be judged have a place too; and what is not limited costs nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::accept::HandshakeError;
use crate::config::Limits;
use crate::net::block::AddressBlock;
use crate::net::gcra::{Gcra, KeyedGcra};

/// 256 KiB; ten thousand busy addresses rarely meet in one slot.
const SLOTS: usize = 32 * 1024;

/// Lets handshakes in.
#[derive(Debug)]
pub struct ConnectionLimits {
    connections: Option<usize>,
    here: AtomicUsize,
    addresses: Option<Addresses>,
    rate: Option<KeyedGcra>,
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

impl ConnectionLimits {
    /// An entrance with nobody inside.
    pub fn new(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            here: AtomicUsize::new(0),
            addresses: limits.connections_per_address.map(Addresses::new),
            rate: limits.handshakes_per_address.map(handshake_rate),
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

/// At once as many as in a second.
fn handshake_rate(per_second: u32) -> KeyedGcra {
    KeyedGcra::new(Gcra::new(per_second, per_second), SLOTS)
}

#[cfg(test)]
mod tests {
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
    fn an_address_has_the_handshakes_of_a_second_in_hand() {
        let limits = limits(|limits| limits.handshakes_per_address = Some(3));
        let entered = [1, 1, 1, 1, 2].map(|last| limits.enter(client(last)));
        let [one, two, three, four, other] = entered;
        assert!(one.is_ok() && two.is_ok() && three.is_ok() && other.is_ok());
        assert!(matches!(four, Err(HandshakeError::TooFast)));
    }
}
