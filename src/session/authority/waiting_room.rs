//! How many clients may wait for Django's judgement at once, in all and from one address.
//!
//! Asked by the handshake before it waits. None is turned away for waiting long, only for being one
//! too many; a client on this machine is probably a proxy for many, and counts in all only.

use std::net::IpAddr;
use std::sync::Arc;

use crate::net::block::AddressBlock;
use crate::net::per_address::{AddressPermit, NoPlace, PerAddress, PlaceLimits};
use crate::telemetry::metrics::Metrics;

/// Clients that may wait. Each costs a connection and a few KiB. Of one address: a large office that
/// comes back at once.
const MOST: PlaceLimits = PlaceLimits {
    total: Some(20_000),
    each: Some(5_000),
};

/// The handshakes that wait.
#[derive(Debug)]
pub(in crate::session) struct WaitingRoom {
    places: Arc<PerAddress>,
    metrics: Arc<Metrics>,
}

/// The place of one that waits. Dropping it makes room for the next.
#[derive(Debug)]
pub(in crate::session) struct WaitingPlace {
    metrics: Arc<Metrics>,
    _permit: AddressPermit,
}

impl WaitingRoom {
    /// Nobody waits yet.
    pub(in crate::session) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            places: PerAddress::new(MOST),
            metrics,
        }
    }

    /// Lets a client wait.
    pub(in crate::session) fn enter(&self, address: IpAddr) -> Result<WaitingPlace, NoPlace> {
        let is_here = address.to_canonical().is_loopback();
        let permit = self
            .places
            .take((!is_here).then(|| AddressBlock::of(address)))?;
        self.metrics.auth_waiting.inc();
        Ok(WaitingPlace {
            metrics: Arc::clone(&self.metrics),
            _permit: permit,
        })
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.metrics.auth_waiting.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_room() -> WaitingRoom {
        WaitingRoom {
            places: PerAddress::new(PlaceLimits {
                total: Some(4),
                each: Some(2),
            }),
            ..WaitingRoom::new(Arc::default())
        }
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let waiting_room = waiting_room();
        let client = IpAddr::from([192, 0, 2, 1]);
        let waiting = [waiting_room.enter(client), waiting_room.enter(client)].map(Result::unwrap);
        assert_eq!(waiting_room.enter(client).unwrap_err(), NoPlace::Address);
        assert_eq!(waiting_room.metrics.auth_waiting.get(), 2);
        drop(waiting);
        assert_eq!(waiting_room.metrics.auth_waiting.get(), 0);
    }

    #[test]
    fn a_proxy_on_this_machine_counts_in_all_only() {
        let waiting_room = waiting_room();
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let loopback: IpAddr = loopback.parse().unwrap();
            let places = [0; 4].map(|_| waiting_room.enter(loopback).unwrap());
            assert_eq!(waiting_room.enter(loopback).unwrap_err(), NoPlace::Total);
            drop(places);
        }
    }
}
