//! Finds the answers whose clients have fallen behind, and has them pumped.
//!
//! One for each forwarder; `download` enrols every answer that may be stored. A client that is slow
//! is found by looking now and then, because there is no call when it does *not* take anything; so
//! an answer that is taken at once costs a place in a list and nothing more.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::buffer::Buffering;
use super::flow::Flow;
use super::pressure::Pressure;
use super::pump::pump;
use super::store::Store;
use crate::net::drain::DrainWatch;

/// Between two looks. A client that falls behind holds the upstream for two of them at most.
const LOOK: Duration = Duration::from_millis(25);
/// A client that took this much between two looks is not slow.
const FAST: u64 = 256 << 10;

/// Looks after answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sweeper {
    shared: Arc<SweeperInner>,
}

#[derive(Debug)]
struct SweeperInner {
    list: Mutex<List>,
    buffering: Buffering,
    pressure: Pressure,
    drain: DrainWatch,
}

#[derive(Debug, Default)]
struct List {
    places: Vec<Option<Enrolled>>,
    free: Vec<usize>,
    swept: bool,
}

#[derive(Debug)]
struct Enrolled {
    flow: Arc<Flow>,
    client: IpAddr,
    /// What had been taken at the last look.
    taken: Option<u64>,
}

/// An answer's place in the list; dropped, it is free.
#[derive(Debug)]
pub(super) struct Enrolment {
    sweeper: Sweeper,
    place: usize,
}

impl Sweeper {
    /// Keeps what is not taken in `buffering`; answers feel the pressure there is.
    pub(super) fn new(buffering: Buffering, pressure: Pressure, drain: DrainWatch) -> Self {
        let shared = SweeperInner {
            list: Mutex::default(),
            buffering,
            pressure,
            drain,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Looks after an answer to this client.
    pub(super) fn enrol(&self, flow: Arc<Flow>, client: IpAddr) -> Enrolment {
        let mut list = self.lock();
        let place = list.enter(Enrolled {
            flow,
            client,
            taken: None,
        });
        let drain = &self.shared.drain;
        if !drain.is_draining() && !std::mem::replace(&mut list.swept, true) {
            drain.spawn(self.clone().run());
        }
        Enrolment {
            sweeper: self.clone(),
            place,
        }
    }

    /// Looks until there is nothing to look at. While the gateway ends, nobody is given more time.
    async fn run(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.shared.drain.draining() => return,
            }
            let mut list = self.lock();
            if list.is_empty() {
                list.swept = false;
                return;
            }
            for enrolled in list.places.iter_mut().flatten() {
                self.look_at(enrolled);
            }
        }
    }

    fn look_at(&self, enrolled: &mut Enrolled) {
        // An answer that is being polled right now is not waiting for its client.
        let Some(taken) = enrolled.flow.waits_for_client() else {
            enrolled.taken = None;
            return;
        };
        let before = enrolled.taken.replace(taken);
        if before.is_none_or(|before| taken - before >= FAST) {
            return;
        }
        let buffering = &self.shared.buffering;
        let pressure = self.shared.pressure.clone();
        let room = || buffering.room(enrolled.client);
        let store = |label| Store::new(buffering, room(), label, pressure);
        if let Some((answer, store)) = enrolled.flow.divert(store) {
            self.shared.drain.spawn(pump(answer, store));
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        let list = &self.shared.list;
        list.lock()
    }
}

impl List {
    fn enter(&mut self, enrolled: Enrolled) -> usize {
        let Some(place) = self.free.pop() else {
            self.places.push(Some(enrolled));
            return self.places.len() - 1;
        };
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(enrolled);
        }
        place
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        let mut list = self.sweeper.lock();
        if let Some(place) = list.places.get_mut(self.place) {
            *place = None;
            list.free.push(self.place);
        }
    }
}
