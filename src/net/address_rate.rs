//! How often each address may do something.
//!
//! Used where requests are counted. An IPv6 client may have a whole /48, so its addresses together have a
//! budget too, which is larger; and however many addresses are made up, memory does not grow.

use tokio::time::Instant;

use super::block::AddressBlock;
use super::gcra::{Gcra, KeyedGcra};

/// 512 KiB for each table; twenty thousand busy addresses rarely meet in one slot.
const SLOTS: usize = 64 * 1024;
/// How many times as much as a block a site has.
const SITE: u32 = 16;

/// A budget for each address.
#[derive(Debug)]
pub struct AddressRate {
    blocks: KeyedGcra,
    sites: KeyedGcra,
}

impl AddressRate {
    /// So many a second, of which `burst` may come at once.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let times = |factor| {
            let (rate, burst) = (
                per_second.saturating_mul(factor),
                burst.saturating_mul(factor),
            );
            KeyedGcra::new(Gcra::new(rate, burst), SLOTS)
        };
        Self {
            blocks: times(1),
            sites: times(SITE),
        }
    }

    /// Counts one more of an address, or says that it is one too many.
    pub fn spend(&self, block: AddressBlock, now: Instant) -> bool {
        // A block that has used its own up takes nothing from its neighbours.
        let spent = self.blocks.spend(block, now);
        spent && block.site().is_none_or(|site| self.sites.spend(site, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_in(rate: &AddressRate, count: u32, address: impl Fn(u32) -> String) -> usize {
        let now = Instant::now();
        let blocks = (0..count).map(|n| AddressBlock::of(address(n).parse().unwrap()));
        blocks.filter(|block| rate.spend(*block, now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_has_its_budget_and_a_site_sixteen_times_as_much() {
        let rate = AddressRate::new(1, 10);
        assert_eq!(let_in(&rate, 100, |n| format!("2001:db8:1:1::{n:x}")), 10);
        assert_eq!(let_in(&rate, 100, |_| "2001:db8:1:2::1".into()), 10);
        let many = let_in(&rate, 1000, |n| format!("2001:db8:1:{n:x}::1"));
        assert_eq!(many, 160 - 20);
        assert_eq!(let_in(&rate, 100, |_| "2001:db8:2:1::1".into()), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_block_leaves_its_neighbours_their_part() {
        let rate = AddressRate::new(1, 10);
        assert_eq!(let_in(&rate, 10_000, |_| "2001:db8:1:1::1".into()), 10);
        assert_eq!(let_in(&rate, 100, |_| "2001:db8:1:2::1".into()), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn ipv4_addresses_have_no_site() {
        let rate = AddressRate::new(1, 1);
        let address = |n: u32| format!("10.0.{}.{}", n / 256, n % 256);
        assert!(let_in(&rate, 1000, address) > 980);
    }
}
