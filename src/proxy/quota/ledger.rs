//! Who has how much of a quota, and who waits for it.
//!
//! Kept behind the lock of [`Quota`](super::Quota). A claim that is granted is counted before its owner
//! hears of it.

use std::collections::{BTreeMap, HashMap};

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
}

impl Ledger {
    pub(super) fn fits(&self, bounds: &Bounds, address: AddressBlock, amount: u64) -> bool {
        let own = self.accounts.get(&address).map_or(0, |client| client.used);
        self.used + amount <= bounds.total && own + amount <= bounds.each
    }

    pub(super) fn take(&mut self, address: AddressBlock, amount: u64) {
        self.used += amount;
        self.accounts.entry(address).or_default().used += amount;
    }

    pub(super) fn give(&mut self, address: AddressBlock, amount: u64) {
        self.used = self.used.saturating_sub(amount);
        if let Some(client) = self.accounts.get_mut(&address) {
            client.used = client.used.saturating_sub(amount);
        }
        self.forget(address);
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
        let client = self.accounts.get(&address);
        if client.is_some_and(|client| client.used == 0 && client.waiting.is_empty()) {
            self.accounts.remove(&address);
        }
    }
}
