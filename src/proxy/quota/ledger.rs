//! Who has how much of a quota, and who waits for it.
//!
//! Kept behind the lock of [`Quota`](super::Quota). A claim that is granted is counted before its owner
//! hears of it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use crate::net::block::AddressBlock;

/// How much there is, and how many may wait for it.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Bounds {
    /// In all.
    pub(in crate::proxy) total: u64,
    /// For one address.
    pub(in crate::proxy) each: u64,
    /// Claims that wait, in all.
    pub(in crate::proxy) waiting: usize,
    /// Claims of one address that wait.
    pub(in crate::proxy) waiting_each: usize,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) used: u64,
    /// Shows it.
    pub(super) gauge: Gauge,
    pub(super) waiting: usize,
    pub(super) accounts: HashMap<AddressBlock, Account>,
    /// The addresses of those that wait.
    pub(super) hungry: Vec<AddressBlock>,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) used: u64,
    pub(super) waiting: BTreeMap<u64, WaitingClaim>,
}

#[derive(Debug)]
pub(super) struct WaitingClaim {
    pub(super) amount: u64,
    pub(super) said: oneshot::Sender<ClaimOutcome>,
}

/// What a claim that waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimOutcome {
    Granted,
    GiveWay,
}

impl Account {
    fn oldest(&self) -> Option<(u64, u64)> {
        let (age, waiting) = self.waiting.first_key_value()?;
        Some((*age, waiting.amount))
    }

    pub(super) fn youngest(&self) -> Option<u64> {
        self.waiting.last_key_value().map(|(age, _)| *age)
    }

    fn try_take(&mut self, bounds: &Bounds, amount: u64) -> bool {
        let fits = self.waiting.is_empty() && self.used + amount <= bounds.each;
        if fits {
            self.used += amount;
        }
        fits
    }

    fn is_idle(&self) -> bool {
        self.used == 0 && self.waiting.is_empty()
    }
}

impl Ledger {
    fn fits(&self, bounds: &Bounds, address: AddressBlock, amount: u64) -> bool {
        let own = self.accounts.get(&address).map_or(0, |client| client.used);
        self.used + amount <= bounds.total && own + amount <= bounds.each
    }

    /// Takes an amount where it is there, and no claim of that address waits. Looks the account
    /// up once: every request takes and gives.
    pub(super) fn try_take(&mut self, bounds: &Bounds, address: AddressBlock, amount: u64) -> bool {
        if self.used + amount > bounds.total {
            return false;
        }
        let fits = match self.accounts.entry(address) {
            Entry::Occupied(mut account) => account.get_mut().try_take(bounds, amount),
            Entry::Vacant(place) => {
                let mut account = Account::default();
                let fits = account.try_take(bounds, amount);
                if fits {
                    place.insert(account);
                }
                fits
            }
        };
        if fits {
            self.set_used(self.used + amount);
        }
        fits
    }

    pub(super) fn take(&mut self, address: AddressBlock, amount: u64) {
        self.set_used(self.used + amount);
        self.accounts.entry(address).or_default().used += amount;
    }

    pub(super) fn give(&mut self, address: AddressBlock, amount: u64) {
        self.set_used(self.used.saturating_sub(amount));
        if let Entry::Occupied(mut account) = self.accounts.entry(address) {
            let client = account.get_mut();
            client.used = client.used.saturating_sub(amount);
            if client.is_idle() {
                account.remove();
            }
        }
    }

    fn set_used(&mut self, used: u64) {
        self.used = used;
        self.gauge.set(i64::try_from(used).unwrap_or(i64::MAX));
    }

    /// Serves the oldest claims that fit, of an address its oldest alone.
    pub(super) fn serve(&mut self, bounds: &Bounds) {
        loop {
            let claims = self.hungry.iter().filter_map(|address| {
                let (age, amount) = self.accounts.get(address)?.oldest()?;
                self.fits(bounds, *address, amount)
                    .then_some((age, amount, *address))
            });
            let Some((age, amount, address)) = claims.min_by_key(|(age, _, _)| *age) else {
                return;
            };
            self.take(address, amount);
            let waiting = self.remove(address, age);
            let told =
                waiting.is_some_and(|waiting| waiting.said.send(ClaimOutcome::Granted).is_ok());
            if !told {
                self.give(address, amount);
            }
        }
    }

    pub(super) fn remove(&mut self, address: AddressBlock, age: u64) -> Option<WaitingClaim> {
        let client = self.accounts.get_mut(&address)?;
        let waiting = client.waiting.remove(&age)?;
        self.waiting -= 1;
        if client.waiting.is_empty() {
            self.hungry.retain(|hungry| *hungry != address);
        }
        self.forget(address);
        Some(waiting)
    }

    pub(super) fn forget(&mut self, address: AddressBlock) {
        if self.accounts.get(&address).is_some_and(Account::is_idle) {
            self.accounts.remove(&address);
        }
    }
}
