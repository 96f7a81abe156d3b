//! A map that holds so many entries and no more.
//!
//! Used for leases, and for signed cookies that were rewritten. What was put first goes first, and what was put again since then gets a second
//! round; reading an entry records nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many old entries a put looks at: bounded work, and enough to keep up with what is put.
const LOOKS: usize = 4;

#[derive(Debug)]
pub(in crate::session) struct BoundedCache<K, V> {
    entries: HashMap<K, Cached<V>>,
    /// Every entry once, the oldest first, and places of some that were removed.
    order: VecDeque<(K, u64)>,
    next: u64,
    most: usize,
}

#[derive(Debug)]
struct Cached<V> {
    value: V,
    place: u64,
    put_again: bool,
}

impl<K: Copy + Eq + Hash, V> BoundedCache<K, V> {
    /// An empty cache for `most` entries.
    pub(in crate::session) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            most,
        }
    }

    pub(in crate::session) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(in crate::session) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    pub(in crate::session) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub(in crate::session) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Puts an entry, and takes away some that `is_over` and, where the cache is full, the oldest.
    pub(in crate::session) fn put(&mut self, key: K, value: V, is_over: impl Fn(&V) -> bool) {
        if let Some(entry) = self.entries.get_mut(&key) {
            (entry.value, entry.put_again) = (value, true);
            return;
        }
        for _ in 0..LOOKS {
            self.look_at_oldest(&is_over);
        }
        while self.entries.len() >= self.most {
            let Some((old, place)) = self.order.pop_front() else {
                break;
            };
            self.remove_from(&old, place);
        }
        if self.order.len() >= 2 * self.most {
            let entries = &self.entries;
            self.order
                .retain(|(key, place)| entries.get(key).is_some_and(|e| e.place == *place));
        }
        let place = self.next;
        self.next += 1;
        self.order.push_back((key, place));
        let put_again = false;
        let entry = Cached {
            value,
            place,
            put_again,
        };
        self.entries.insert(key, entry);
    }

    /// Takes the oldest away where it is over, or gives it a second round where it was put again.
    fn look_at_oldest(&mut self, is_over: &impl Fn(&V) -> bool) {
        let Some((key, place)) = self.order.front().copied() else {
            return;
        };
        let entry = self.entries.get_mut(&key);
        match entry.filter(|entry| entry.place == place) {
            Some(entry) if is_over(&entry.value) => self.remove(&key),
            Some(entry) if entry.put_again => {
                entry.put_again = false;
                self.order.push_back((key, place));
            }
            Some(_) => return,
            None => {}
        }
        self.order.pop_front();
    }

    fn remove_from(&mut self, key: &K, place: u64) {
        if self.entries.get(key).is_some_and(|e| e.place == place) {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(cache: &BoundedCache<u32, bool>) -> Vec<u32> {
        let mut keys: Vec<_> = cache.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_full_cache_loses_what_was_put_first_and_not_again() {
        let mut cache = BoundedCache::new(3);
        for key in [1, 2, 3, 1, 4] {
            cache.put(key, false, |_| false);
        }
        assert_eq!(keys(&cache), [1, 3, 4]);
    }

    #[test]
    fn what_is_over_makes_room_before_the_cache_is_full() {
        let mut cache = BoundedCache::new(100);
        for key in 0..8 {
            cache.put(key, true, |over| *over);
        }
        assert_eq!(keys(&cache), [7]);
    }

    #[test]
    fn removing_and_putting_does_not_grow_anything() {
        let mut cache = BoundedCache::new(4);
        for round in 0..1000 {
            cache.put(round % 2, false, |_| false);
            cache.remove(&(round % 2));
            cache.put(7, false, |_| false);
        }
        assert!(cache.order.len() <= 8, "{}", cache.order.len());
        assert_eq!(keys(&cache), [7]);
    }
}
