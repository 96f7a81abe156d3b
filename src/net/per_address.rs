//! How many there may be at once, in all and of one address.
//!
//! Used wherever clients take places: connections, and handshakes that wait. An address without a
//! place is forgotten, so a crowd that came and went leaves nothing behind.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::block::AddressBlock;
use crate::setting::Setting;

/// Places, some for each address.
#[derive(Debug)]
pub struct PerAddress {
    most: Setting<PlaceLimits>,
    taken: AtomicUsize,
    by_address: Mutex<HashMap<AddressBlock, usize>>,
}

/// How many places there are. `None`: any number, and for addresses that costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceLimits {
    /// In all.
    pub total: Option<usize>,
    /// For one address.
    pub each: Option<usize>,
}

/// A place. Dropping it makes room for the next.
#[derive(Debug)]
pub struct AddressPermit {
    places: Arc<PerAddress>,
    block: Option<AddressBlock>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// All are taken.
    Total,
    /// All of this address are taken.
    Address,
}

impl PerAddress {
    /// All places are free.
    pub fn new(most: PlaceLimits) -> Arc<Self> {
        Arc::new(Self {
            most: Setting::new(most),
            taken: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Has other limits from now on. Who has a place keeps it; of an address, those that were taken while it had no limit
    /// do not count.
    pub fn adopt(&self, most: PlaceLimits) {
        self.most.set(most);
    }

    /// Takes a place for an address; without one it counts in all only.
    pub fn take(self: &Arc<Self>, block: Option<AddressBlock>) -> Result<AddressPermit, NoPlace> {
        let limits = self.most.get();
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // From here on dropping the permit gives the place back.
        let mut permit = AddressPermit {
            places: Arc::clone(self),
            block: None,
        };
        if limits.total.is_some_and(|most| before >= most) {
            return Err(NoPlace::Total);
        }
        if let (Some(most), Some(block)) = (limits.each, block) {
            if !self.take_one_of(block, most) {
                return Err(NoPlace::Address);
            }
            permit.block = Some(block);
        }
        Ok(permit)
    }

    fn take_one_of(&self, block: AddressBlock, most: usize) -> bool {
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(block).or_default();
        let is_free = *count < most;
        *count += usize::from(is_free);
        is_free
    }

    fn give_back_one_of(&self, block: AddressBlock) {
        if let Entry::Occupied(mut count) = self.by_address.lock().entry(block) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(block) = self.block {
            self.places.give_back_one_of(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(total: Option<usize>, each: Option<usize>) -> Arc<PerAddress> {
        PerAddress::new(PlaceLimits { total, each })
    }

    fn client(last: u8) -> AddressBlock {
        AddressBlock::of([192, 0, 2, last].into())
    }

    #[test]
    fn there_are_so_many_places_and_each_comes_free_again() {
        let places = places(Some(2), None);
        let _first = places.take(Some(client(1))).unwrap();
        let second = places.take(Some(client(2))).unwrap();
        for _ in 0..3 {
            assert_eq!(places.take(Some(client(3))).unwrap_err(), NoPlace::Total);
        }
        drop(second);
        let _third = places.take(Some(client(3))).unwrap();
        assert_eq!(places.taken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn one_address_takes_no_more_than_its_share_and_leaves_nothing_behind() {
        let places = places(Some(4), Some(2));
        let taken = [1, 1, 2].map(|last| places.take(Some(client(last))).unwrap());
        for _ in 0..3 {
            assert_eq!(places.take(Some(client(1))).unwrap_err(), NoPlace::Address);
        }
        drop(taken);
        assert!(places.by_address.lock().is_empty());
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_without_an_address_counts_in_all_only() {
        let places = places(Some(4), Some(2));
        let taken = [0; 4].map(|_| places.take(None).unwrap());
        assert_eq!(places.take(Some(client(1))).unwrap_err(), NoPlace::Total);
        drop(taken);
        assert!(places.take(Some(client(1))).is_ok());
    }
}
