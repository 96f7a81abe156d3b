//! The room that one body has been given, in memory and on disk.
//!
//! Made by [`Buffering::room`](super::Buffering); dropped, it gives everything back.

use std::net::IpAddr;
use std::time::Duration;

use super::super::quota::{GivesWay, InTheWay, Quota, QuotaClaim, Spent};
use crate::net::block::AddressBlock;

/// How long a request waits for room, unread, before the youngest of those that wait goes.
pub(in crate::proxy) const ROOM_LIMIT: Duration = Duration::from_secs(10);

/// Room for one body.
#[derive(Debug)]
pub(in crate::proxy) struct Room {
    memory: Holding,
    disk: Holding,
    address: AddressBlock,
    age: u64,
}

/// A writer that finds no room on disk.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct RoomSeeker {
    pub(super) number: u64,
    pub(super) address: AddressBlock,
    pub(super) in_the_way: InTheWay,
}

impl RoomSeeker {
    /// Whether its own address has used up its share.
    pub(in crate::proxy) fn is_in_its_own_way(&self) -> bool {
        self.in_the_way == InTheWay::Own
    }
}

/// What all bodies share.
#[derive(Debug)]
pub(super) struct Quotas {
    pub(super) memory: Quota,
    pub(super) disk: Quota,
}

#[derive(Debug)]
struct Holding {
    quota: Quota,
    held: u64,
}

impl Room {
    /// None yet.
    pub(super) fn new(quotas: &Quotas, client: IpAddr, age: u64) -> Self {
        let part = |quota: &Quota| Holding {
            quota: quota.clone(),
            held: 0,
        };
        Self {
            memory: part(&quotas.memory),
            disk: part(&quotas.disk),
            address: AddressBlock::of(client),
            age,
        }
    }

    /// Which body's it is; the lower number came first.
    pub(in crate::proxy) fn number(&self) -> u64 {
        self.age
    }

    pub(super) fn address(&self) -> AddressBlock {
        self.address
    }

    /// This account as one that needs so much more of the disk.
    pub(in crate::proxy) fn seeker(&self, amount: u64) -> RoomSeeker {
        RoomSeeker {
            number: self.age,
            address: self.address,
            in_the_way: self.disk.quota.in_the_way(self.address, amount),
        }
    }

    /// Bytes in memory.
    pub(in crate::proxy) fn memory(&self) -> u64 {
        self.memory.held
    }

    /// Bytes on disk.
    pub(in crate::proxy) fn disk(&self) -> u64 {
        self.disk.held
    }

    /// More memory, where there is any.
    pub(in crate::proxy) fn try_memory(&mut self, amount: u64) -> bool {
        self.memory.try_grow(self.address, amount)
    }

    /// More of the disk, where there is any.
    pub(in crate::proxy) fn try_disk(&mut self, amount: u64) -> bool {
        self.disk.try_grow(self.address, amount)
    }

    /// More of the disk; waits for it.
    pub(in crate::proxy) async fn wait_for_disk(&mut self, amount: u64) -> Result<(), Spent> {
        let claim = QuotaClaim {
            address: self.address,
            age: self.age,
            amount,
        };
        let taken = self.disk.quota.take(claim, ROOM_LIMIT, GivesWay::Youngest);
        taken.await?;
        self.disk.held += amount;
        Ok(())
    }

    /// Gives memory back until so much is held.
    pub(in crate::proxy) fn shrink_memory(&mut self, to: u64) {
        self.memory.shrink(self.address, to);
    }

    /// Gives room on disk back until so much is held.
    pub(in crate::proxy) fn shrink_disk(&mut self, to: u64) {
        self.disk.shrink(self.address, to);
    }
}

impl Holding {
    fn try_grow(&mut self, address: AddressBlock, amount: u64) -> bool {
        let taken = self.quota.try_take(address, amount);
        if taken {
            self.held += amount;
        }
        taken
    }

    fn shrink(&mut self, address: AddressBlock, to: u64) {
        let surplus = self.held.saturating_sub(to);
        self.held -= surplus;
        self.quota.give(address, surplus);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink_memory(0);
        self.shrink_disk(0);
    }
}
