//! How many clients may wait for Django's judgement at once, in all and from one address.
//!
//! Asked by the handshake before it waits. The surprise: nobody is turned away for waiting long, only
//! for being one too many; a client on this machine is probably a proxy for many, and counts in all
//! only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::net::block::AddressBlock;
use crate::telemetry::metrics::Metrics;

/// Clients that may wait. Each costs a connection and a few KiB.
const MOST: usize = 20_000;
/// Clients of one address: a large office that comes back at once.
const MOST_OF_ADDRESS: usize = 5_000;

/// Who waits.
#[derive(Debug)]
pub(in crate::session) struct WaitingRoom {
    most: usize,
    most_of_address: usize,
    waiting: Mutex<Occupancy>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Occupancy {
    all: usize,
    by_address: HashMap<AddressBlock, usize>,
}

/// One who waits. Dropping it makes room for the next.
#[derive(Debug)]
pub(in crate::session) struct WaitingPlace {
    waiting_room: Arc<WaitingRoom>,
    block: Option<AddressBlock>,
}

/// Why a client may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// As many wait as may.
    All,
    /// As many of this address wait as may.
    Address,
}

impl WaitingRoom {
    /// Nobody waits yet.
    pub(in crate::session) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            most: MOST,
            most_of_address: MOST_OF_ADDRESS,
            waiting: Mutex::default(),
            metrics,
        }
    }

    /// Lets a client wait.
    pub(in crate::session) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<WaitingPlace, Crowded> {
        let block = (!address.to_canonical().is_loopback()).then(|| AddressBlock::of(address));
        let mut waiting = self.lock();
        if waiting.all >= self.most {
            return Err(Crowded::All);
        }
        if let Some(block) = block {
            let count = waiting.by_address.entry(block).or_default();
            if *count >= self.most_of_address {
                return Err(Crowded::Address);
            }
            *count += 1;
        }
        waiting.all += 1;
        self.metrics.auth_waiting.inc();
        Ok(WaitingPlace {
            waiting_room: Arc::clone(self),
            block,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        self.waiting.lock()
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut waiting = self.waiting_room.lock();
        waiting.all -= 1;
        self.waiting_room.metrics.auth_waiting.dec();
        if let Some(block) = self.block
            && let Entry::Occupied(mut count) = waiting.by_address.entry(block)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<WaitingRoom> {
        Arc::new(WaitingRoom {
            most: 4,
            most_of_address: 2,
            ..WaitingRoom::new(Arc::default())
        })
    }

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let admission = admission();
        let _one = [admission.enter(client(1)), admission.enter(client(1))].map(Result::unwrap);
        assert_eq!(admission.enter(client(1)).unwrap_err(), Crowded::Address);
        let _other = admission.enter(client(2)).unwrap();
        assert_eq!(admission.metrics.auth_waiting.get(), 3);
    }

    #[test]
    fn places_are_bounded_in_all_and_come_free_again() {
        let admission = admission();
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let places: Vec<_> = (0..4).map(|_| admission.enter(loopback)).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(admission.enter(client(1)).unwrap_err(), Crowded::All);
        drop(places);
        drop(admission.enter(client(1)).unwrap());
        let waiting = admission.lock();
        assert_eq!((waiting.all, waiting.by_address.len()), (0, 0));
        assert_eq!(admission.metrics.auth_waiting.get(), 0);
    }
}
