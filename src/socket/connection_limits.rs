//! Who may come in at all: handshakes a second, connections from one address, connections in all.
//!
//! Asked first by every handshake. A connection counts from its handshake on, so that those still
//! to be judged have a place too; and what is not limited costs nothing.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::accept::HandshakeError;
use crate::config::Limits;
use crate::net::block::AddressBlock;
use crate::net::gcra::{Gcra, KeyedGcra};
use crate::net::per_address::{AddressPermit, NoPlace, PerAddress, PlaceLimits};

/// 256 KiB; ten thousand busy addresses rarely meet in one slot.
const SLOTS: usize = 32 * 1024;

/// Lets handshakes in.
#[derive(Debug)]
pub struct ConnectionLimits {
    places: Arc<PerAddress>,
    rate: Option<KeyedGcra>,
}

impl ConnectionLimits {
    /// Takes connections to be among `places`.
    pub fn new(limits: &Limits, places: Arc<PerAddress>) -> Self {
        Self {
            places,
            rate: limits.handshakes_per_address.map(handshake_rate),
        }
    }

    /// How many there may be.
    pub fn places(limits: &Limits) -> PlaceLimits {
        PlaceLimits {
            total: limits.connections,
            each: limits.connections_per_address,
        }
    }

    /// Lets a client in, or says which limit it met.
    pub(super) fn enter(&self, address: IpAddr) -> Result<AddressPermit, HandshakeError> {
        let block = AddressBlock::of(address);
        if let Some(rate) = &self.rate
            && !rate.spend(block, Instant::now())
        {
            return Err(HandshakeError::TooFast);
        }
        self.places.take(Some(block)).map_err(|none| match none {
            NoPlace::Total => HandshakeError::Full,
            NoPlace::Address => HandshakeError::AddressFull,
        })
    }
}

/// At once as many as in a second.
fn handshake_rate(per_second: u32) -> KeyedGcra {
    KeyedGcra::new(Gcra::new(per_second, per_second), SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(change: impl FnOnce(&mut Limits)) -> ConnectionLimits {
        let mut limits = Limits {
            handshakes_per_address: None,
            ..Limits::default()
        };
        change(&mut limits);
        let places = PerAddress::new(ConnectionLimits::places(&limits));
        ConnectionLimits::new(&limits, places)
    }

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_client_that_is_one_too_many_is_told_which_limit_it_met() {
        let limits = limits(|limits| {
            limits.connections = Some(3);
            limits.connections_per_address = Some(2);
        });
        let _one = [1, 1].map(|last| limits.enter(client(last)).unwrap());
        let refused = limits.enter(client(1));
        assert!(matches!(refused, Err(HandshakeError::AddressFull)));
        let _other = limits.enter(client(2)).unwrap();
        let refused = limits.enter(client(3));
        assert!(matches!(refused, Err(HandshakeError::Full)));
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
